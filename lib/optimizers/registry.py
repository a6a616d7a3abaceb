"""Optimisers by name: this project's own, and every public optax optimiser."""

import functools
import types
from collections.abc import Mapping

import optax

from lib.errors import ConfigError, nearest
from lib.optimizers import alig, bpgrad, complex_momentum, dal, dfw, hypergradient, l4, polyak, ultimate
from lib.optimizers.contrib import contrib_kinds, factories
from lib.optimizers.kind import Kind

OWN: dict[str, Kind] = {
    "sgd_hd": hypergradient.SGD_HD,
    "sgdn_hd": hypergradient.SGDN_HD,
    "adam_hd": hypergradient.ADAM_HD,
    "sgd_ultimate": ultimate.SGD_ULTIMATE,
    "adam_ultimate": ultimate.ADAM_ULTIMATE,
    "alig": alig.ALIG,
    "bpgrad": bpgrad.BPGRAD,
    "dal": dal.DAL,
    "dfw": dfw.DFW,
    "l4_adam": l4.L4_ADAM,
    "l4_mom": l4.L4_MOM,
    "sgd_complex": complex_momentum.SGD_COMPLEX,
    "polyak_sgd": polyak.POLYAK_SGD,
    "sps_max": polyak.SPS_MAX,
}

# {optimiser: {an argument's name in older runs: its name}}
RENAMED = dict.fromkeys(("polyak_sgd", "sps_max"), {"f_min": "lower_bound"})
_PLAIN_WITHOUT = {"sgd": ("momentum",)}  # of optax's optimisers: see `Kind.plain_without`


@functools.cache
def optax_kinds() -> Mapping[str, Kind]:
    """Lists every public optax function that makes an optimiser from a learning rate, by name.

    What optax.contrib calls as the root, or this project, calls one of theirs is `contrib.NAME`.
    """
    root = {name: Kind(f, plain_without=_PLAIN_WITHOUT.get(name)) for name, f in factories(optax).items()}
    taken = root.keys() | OWN.keys()
    contrib = {f"contrib.{n}" if n in taken else n: kind for n, kind in contrib_kinds().items()}
    return types.MappingProxyType(root | contrib)


def kind_of(name: str) -> Kind:
    """Resolves the name of an optimiser, this project's own before optax's.

    Raises:
      ConfigError: there is none; of the field `name`.
    """
    kinds = {**optax_kinds(), **OWN}
    if name not in kinds:
        raise ConfigError(f"unknown optimiser '{name}'{nearest(name, kinds)}", "name")
    return kinds[name]
