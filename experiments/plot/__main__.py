"""`./run.sh plot`."""

import sys

from experiments.plot import main

sys.exit(main(sys.argv[1:]))
