"""`./run.sh plot`."""

import sys

from analysis.plot import main

sys.exit(main(sys.argv[1:]))
