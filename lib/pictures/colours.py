"""The colours of all pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# Okabe and Ito's palette: people who see colours differently can tell these apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def distinct_colours(n: int) -> Sequence[Any]:
    """Returns n colours that can be told apart; of many, neighbours are alike and the order shows."""
    if n <= len(COLOURS):
        return COLOURS[:n]
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.9, n))
