"""Optimisers by name: this project's own, and every public optax optimiser."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lib import schema
from lib.errors import ConfigError, nearest
from lib.optimizers import alig, dal, hypergradient, polyak, schedules
from lib.optimizers.projection import Projection, l2_ball

# This project's own optimisers: {name: factory(learning_rate, **kwargs)}. One that chooses its rate keeps the one
# of its last update in its state as `step_size`, a scalar; before the first, where it starts from. One that has a
# `max_norm` keeps the norm of all parameters at or below it.
OWN: dict[str, Callable[..., optax.GradientTransformationExtraArgs]] = {
    "sgd_hd": hypergradient.sgd_hd,
    "sgdn_hd": hypergradient.sgdn_hd,
    "adam_hd": hypergradient.adam_hd,
    "alig": alig.alig,
    "dal": dal.dal,
    "polyak_sgd": polyak.polyak_sgd,
    "sps_max": polyak.sps_max,
}
# Those for which learning_rate is only where their own begins, so that no schedule can govern it.
UNSCHEDULED = frozenset({"sgd_hd", "sgdn_hd", "adam_hd"})


class Optimizer(NamedTuple):
    """An optax pair whose numbers are arrays in its state, and its learning rate of the moment.

    Attributes:
      init: `(params) -> opt_state`.
      update: `(grads, opt_state, params, **extra) -> (updates, opt_state)`; accepts any extras.
      learning_rate: `(opt_state) -> scalar`: what the next update will use, its schedule included; as far as
        it is known: of an optimiser that chooses its rate, the last choice.
      used_rate: `(opt_state before, opt_state after) -> scalar`: what the update between them used.
      project: `(params) -> params`: the nearest that it allows, where a run is to start; mostly the identity.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]
    learning_rate: Callable[[Any], jax.Array]
    used_rate: Callable[[Any, Any], jax.Array]
    project: Projection


def optax_optimizers() -> dict[str, Callable[..., optax.GradientTransformation]]:
    """Every public optax function that makes an optimiser from a learning rate, by name."""
    found = {}
    for name, function in vars(optax).items():
        if name.startswith(("_", "scale_by_")) or not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function).parameters
        if next(iter(parameters), None) == "learning_rate":
            found[name] = function
    return found


def from_config(section: schema.Optimizer, field: str, *, with_loss: bool = True) -> Optimizer:
    """The optimiser of a section of the config; `field` is its name there. `with_loss`, raises: as `make`."""
    schedule = schedules.make(section.schedule.name, section.schedule.kwargs, f"{field}.schedule")
    return make(
        section.name,
        section.learning_rate,
        section.kwargs,
        field,
        schedule=None if section.schedule.name == schedules.CONSTANT else schedule,
        clip_norm=section.clip_norm,
        clip_value=section.clip_value,
        with_loss=with_loss,
    )


def factory_of(name: str, field: str) -> Callable[..., optax.GradientTransformation]:
    """What makes the optimiser of that name, of this project's own or of optax's.

    Raises:
      ConfigError: there is none.
    """
    factories = optax_optimizers() | OWN
    if name not in factories:
        raise ConfigError(f"{field}.name: unknown optimiser '{name}'{nearest(name, factories)}")
    return factories[name]


def make(
    name: str,
    learning_rate: float,
    kwargs: Mapping[str, Any],
    field: str,
    *,
    schedule: schedules.Schedule | None = None,
    clip_norm: float = 0.0,
    clip_value: float = 0.0,
    with_loss: bool = True,
) -> Optimizer:
    """Builds an optimiser; its learning rate and other float arguments live in its state as arrays.

    Args:
      name: of this project's own optimisers or of an optax optimiser.
      learning_rate: the base rate; a sweep may vary it in the state without compiling again.
      kwargs: the factory's other keyword arguments.
      field: the config's name for it, for error messages.
      schedule: `(number of updates so far) -> factor` on the base rate; None: constant.
      clip_norm: the largest norm of the whole gradient, larger ones are scaled down to it; 0: any.
      clip_value: the largest size of a gradient's component, clipped before the norm is; 0: any.
      with_loss: whether updates are told the loss as a function, `value_fn`, which line searches need.

    Raises:
      ConfigError: an unknown optimiser or keyword argument, or a value that the optimiser refuses.
    """
    factory = _clipped(factory_of(name, field), clip_norm, clip_value)
    if schedule is not None and name in UNSCHEDULED:
        raise ConfigError(
            f"{field}.schedule: '{name}' moves its rate itself, from learning_rate on; use the schedule "
            f"'{schedules.CONSTANT}'"
        )
    if schedule is not None and kwargs.get("capped") is False:
        raise ConfigError(
            f"{field}.schedule: has no effect on a rate that is not capped; use the schedule "
            f"'{schedules.CONSTANT}', or leave out {field}.kwargs.capped"
        )
    known = [p for p in inspect.signature(factory).parameters if p != "learning_rate"]
    for key in kwargs:
        if key not in known:
            raise ConfigError(f"{field}.kwargs.{key}: '{name}' takes no such argument{nearest(key, known)}")
    bound = inspect.signature(factory).bind(learning_rate=learning_rate, **kwargs)
    bound.apply_defaults()
    # Floats become arrays of the state; flags, choices and counts are structure.
    static = [key for key, value in bound.arguments.items() if not isinstance(value, float)]
    try:
        # Bad numbers are refused here: below they are arrays.
        factory(learning_rate=learning_rate, **kwargs)
        transform = optax.with_extra_args_support(
            optax.inject_hyperparams(factory, static_args=static)(learning_rate=learning_rate, **kwargs)
        )
        chooses = _step_size(_tried(transform, with_loss)) is not None
    except ConfigError as error:
        raise ConfigError(f"{field}.name: '{name}' {error}") from error
    except Exception as error:  # optax and JAX refuse bad values in many ways
        text = str(error).splitlines()[0]
        raise ConfigError(f"{field}.kwargs: '{name}' refuses {dict(kwargs)}: {text}") from error
    # Without weak types, or the second step would compile again; copies, for equal arrays cannot be donated.
    init = lambda params: jax.tree.map(lambda x: jnp.array(x, x.dtype), transform.init(params))
    max_norm = kwargs.get("max_norm")
    project = (lambda params: params) if max_norm is None else l2_ball(max_norm)
    base_rate = lambda state: state.hyperparams["learning_rate"]

    def scheduled_rate(state):
        base = base_rate(state)
        return base if schedule is None else (base * schedule(state.count)).astype(base.dtype)

    def update(grads, state, params=None, **extra):
        updates, new = transform.update(grads, _with_rate(state, scheduled_rate(state)), params, **extra)
        return updates, _with_rate(new, base_rate(state))

    if not chooses:
        return Optimizer(
            init, update, scheduled_rate, lambda before, after: scheduled_rate(before), project
        )

    def last_rate(state):
        return jnp.where(state.count == 0, scheduled_rate(state), _step_size(state))

    return Optimizer(init, update, last_rate, lambda before, after: _step_size(after), project)


def _step_size(state: Any) -> jax.Array | None:
    """The rate of the last update, where the state is that of an optimiser that chooses it."""
    return optax.tree.get(state, "step_size")


def _with_rate(state: Any, learning_rate: jax.Array) -> Any:
    return state._replace(hyperparams={**state.hyperparams, "learning_rate": learning_rate})


def _clipped(factory: Callable, clip_norm: float, clip_value: float) -> Callable:
    """The factory, its optimiser preceded by the clipping that is asked for."""
    clips = [optax.clip(clip_value)] if clip_value else []
    clips += [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    if not clips:
        return factory

    @functools.wraps(factory)
    def clipped(**kwargs):
        return optax.chain(*clips, factory(**kwargs))

    return clipped


def _tried(transform: optax.GradientTransformationExtraArgs, with_loss: bool) -> Any:
    """The shapes of an optimiser's state after an update of a small problem; computes nothing."""
    params = {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2)}
    value_fn = lambda p: sum(jnp.sum(x**2) for x in jax.tree.leaves(p))

    def once(p):
        value, grad = jax.value_and_grad(value_fn)(p)
        extra = {"value_fn": value_fn} if with_loss else {}
        return transform.update(grad, transform.init(p), p, value=value, grad=grad, **extra)

    try:
        _, state = jax.eval_shape(once, params)
    except (TypeError, ValueError) as error:
        if with_loss or "value_fn" not in str(error):
            raise
        raise ConfigError(
            "searches along a loss, and players here have directions alone; use another, such as sgd or adam"
        ) from error
    if any(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(state)):
        raise ConfigError(
            "keeps a random key of its own in its state; the runner's seed must fix all samples"
        )
    return state
