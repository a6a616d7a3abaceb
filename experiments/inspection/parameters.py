"""The parameters of a state, and what it takes on disk and on a device."""

import math
from typing import Any, NamedTuple

import jax

_PARAMS = "params"
_OTHERS = ("opt_state", "memory", "averages", "weights")  # what may hold copies of parameters


class Leaf(NamedTuple):
    """An array of a state.

    Attributes:
      place: its path, in parts.
    """

    place: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        """Returns how many numbers it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Returns how many bytes they take."""
        return self.size * getattr(self.dtype, "itemsize", 8)  # keys of random numbers: two words


def leaves(state: Any) -> list[Leaf]:
    """Lists the arrays of a state, or of its shapes."""
    return [
        Leaf(tuple(jax.tree_util.keystr(path, simple=True, separator="/").split("/")), x.shape, x.dtype)
        for path, x in jax.tree_util.tree_leaves_with_path(state)
    ]


def parameters(state: Any) -> list[Leaf]:
    """Lists the parameters of a state, their places from the player's name on.

    Where a state has no `params`, as that of EigenGame, they are all its arrays.
    """
    found = []
    for leaf in leaves(state):
        if _PARAMS in leaf.place:
            at = leaf.place.index(_PARAMS)
            if not set(leaf.place[:at]) & set(_OTHERS):
                found.append(leaf._replace(place=leaf.place[at + 1 :] or leaf.place[at:]))
    return found or leaves(state)


def table(state: Any) -> list[tuple[str, ...]]:
    """Returns rows (player, parameter, shape, number) of the parameters, and a sum for each player."""
    rows, of_player = [("", "parameter", "shape", "numbers")], {}
    for leaf in parameters(state):
        of_player.setdefault(leaf.place[0], []).append(leaf)
    for player, own in of_player.items():
        for leaf in own:
            shape = " x ".join(map(str, leaf.shape)) or "-"
            rows.append((player, "/".join(leaf.place[1:]), shape, f"{leaf.size:,}"))
        rows.append((player, "all", "", f"{sum(leaf.size for leaf in own):,}"))
    return rows
