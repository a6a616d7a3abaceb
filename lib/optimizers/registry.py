"""Optimisers by name: this project's own, and every public optax optimiser."""

import inspect

import optax

from lib.errors import ConfigError, nearest
from lib.optimizers import alig, dal, hypergradient, polyak
from lib.optimizers.kind import Kind

OWN: dict[str, Kind] = {
    "sgd_hd": hypergradient.SGD_HD,
    "sgdn_hd": hypergradient.SGDN_HD,
    "adam_hd": hypergradient.ADAM_HD,
    "alig": alig.ALIG,
    "dal": dal.DAL,
    "polyak_sgd": polyak.POLYAK_SGD,
    "sps_max": polyak.SPS_MAX,
}

# {optimiser: {an argument's name in older runs: its name}}
RENAMED = dict.fromkeys(("polyak_sgd", "sps_max"), {"f_min": "lower_bound"})
_PLAIN_WITHOUT = {"sgd": ("momentum",)}  # of optax's optimisers: see `Kind.plain_without`


def optax_kinds() -> dict[str, Kind]:
    """Lists every public optax function that makes an optimiser from a learning rate, by name."""
    kinds = {}
    for name, function in vars(optax).items():
        if name.startswith(("_", "scale_by_")) or not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function).parameters
        if next(iter(parameters), None) == "learning_rate":
            kinds[name] = Kind(function, plain_without=_PLAIN_WITHOUT.get(name))
    return kinds


def kind_of(name: str) -> Kind:
    """Resolves the name of an optimiser, this project's own before optax's.

    Raises:
      ConfigError: there is none; of the field `name`.
    """
    kinds = optax_kinds() | OWN
    if name not in kinds:
        raise ConfigError(f"unknown optimiser '{name}'{nearest(name, kinds)}", "name")
    return kinds[name]
