"""An optimiser by name as update rules call it: numbers in its state, its schedule, clipping, its rate."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lib import schema
from lib.errors import ConfigError, nearest, within
from lib.optimizers import schedules
from lib.optimizers.kind import Kind
from lib.optimizers.projection import Projection
from lib.optimizers.registry import kind_of


class Optimizer(NamedTuple):
    """An optax pair whose numbers are arrays in its state, and its learning rate of the moment.

    Attributes:
      init: `(params) -> opt_state`.
      update: `(grads, opt_state, params, **extra) -> (updates, opt_state)`; accepts any extras.
      learning_rate: `(opt_state) -> scalar`: what the next update will use, its schedule included; as far
        as it is known: of an optimiser that chooses its rate, the last choice.
      used_rate: `(opt_state before, opt_state after) -> scalar`: what the update between them used.
      project: `(params) -> params`: the nearest that it allows, where a run is to start; mostly the
        identity.
      evaluated: `(opt_state, params) -> params`: what is evaluated in the place of the parameters that it
        moves; None: these.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]
    learning_rate: Callable[[Any], jax.Array]
    used_rate: Callable[[Any, Any], jax.Array]
    project: Projection
    evaluated: Callable[[Any, Any], Any] | None = None


def from_config(section: schema.OptimizerSection, *, with_loss: bool = True) -> Optimizer:
    """Builds the optimiser of a section of the config. `with_loss`, raises: as `make`."""
    with within("schedule"):
        schedule = schedules.make(section.schedule.name, section.schedule.kwargs)
    return make(
        section.name,
        section.learning_rate,
        section.kwargs,
        schedule=None if section.schedule.name == schedules.CONSTANT else schedule,
        clip_norm=section.clip_norm,
        clip_value=section.clip_value,
        with_loss=with_loss,
    )


def is_plain_sgd(section: schema.OptimizerSection) -> bool:
    """Tells whether an update is -learning_rate * gradient alone, without momentum and clipping.

    Raises:
      ConfigError: an unknown optimiser; of the field `name`.
    """
    return kind_of(section.name).is_plain(section.kwargs) and not (section.clip_norm or section.clip_value)


def make(
    name: str,
    learning_rate: float,
    kwargs: Mapping[str, Any],
    *,
    schedule: schedules.Schedule | None = None,
    clip_norm: float = 0.0,
    clip_value: float = 0.0,
    with_loss: bool = True,
) -> Optimizer:
    """Builds an optimiser; its learning rate and other float arguments live in its state as arrays.

    Args:
      name: of this project's own optimisers or of an optax optimiser.
      learning_rate: the base rate; a sweep may vary it in the state without compiling again. 0 for those
        that begin with it and move it themselves.
      kwargs: the factory's other keyword arguments.
      schedule: `(number of updates so far) -> factor` on the base rate; None: constant.
      clip_norm: the largest norm of the whole gradient, larger ones are scaled down to it; 0: any.
      clip_value: the largest size of a gradient's component, clipped before the norm is; 0: any.
      with_loss: whether updates get the loss as a function, `value_fn`, which line searches need; and
        whether what `evaluated` gives is evaluated.

    Raises:
      ConfigError: an unknown optimiser or keyword argument, or a value that the optimiser refuses; of the
        fields of an optimiser's section: `name`, `schedule`, `kwargs.<argument>`, or `kwargs` where it is
        not known which argument it is.
    """
    kind = kind_of(name)
    _check_known(name, kind, kwargs)
    if kind.evaluated and not with_loss:
        raise ConfigError(
            f"'{name}' is evaluated at other parameters than it moves, and players here at those; use "
            "another, such as sgd or adam",
            "name",
        )
    if not (learning_rate > 0 or kind.chooses_rate):
        raise ConfigError(f"{learning_rate!r} moves nothing; use a positive one", "learning_rate")
    if schedule is not None:
        _check_schedulable(name, kind, kwargs)
    with _refusals(name, kwargs):
        # Bad numbers are refused here: below they are arrays.
        kind.factory(learning_rate=learning_rate, **kwargs)
        factory = _clipped(kind.factory, clip_norm, clip_value)
        transform = _injected(factory, learning_rate, kwargs)
        _try(name, transform, with_loss)
    made = _with_rates(transform, schedule, kind.chooses_rate, kind.projection(kwargs))
    return made._replace(evaluated=kind.evaluated)


def _check_known(name: str, kind: Kind, kwargs: Mapping[str, Any]) -> None:
    """Refuses arguments that an optimiser does not take."""
    known = [p for p in inspect.signature(kind.factory).parameters if p != "learning_rate"]
    for key in kwargs:
        if key not in known:
            raise ConfigError(f"'{name}' takes no such argument{nearest(key, known)}", f"kwargs.{key}")


def _check_schedulable(name: str, kind: Kind, kwargs: Mapping[str, Any]) -> None:
    """Refuses a schedule that would have no effect on the rate."""
    if not kind.scheduled:
        raise ConfigError(
            f"'{name}' moves its rate itself, from learning_rate on; use the schedule "
            f"'{schedules.CONSTANT}'",
            "schedule",
        )
    if kind.is_uncapped(kwargs):
        raise ConfigError(
            f"has no effect on a rate that is not capped; use the schedule '{schedules.CONSTANT}', or "
            f"leave out {', '.join(f'kwargs.{argument}' for argument in kind.uncapped_by)}",
            "schedule",
        )


@contextlib.contextmanager
def _refusals(name: str, kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turns what an optimiser refuses into a ConfigError of the section's fields."""
    try:
        yield
    except ConfigError as error:
        if error.field in ("name", "learning_rate"):
            raise
        raise error.within("kwargs") from error
    except Exception as error:  # optax and JAX refuse bad values in many ways
        text = str(error).splitlines()[0]
        raise ConfigError(f"'{name}' refuses {dict(kwargs)}: {text}", "kwargs") from error


def _clipped(factory: Callable, clip_norm: float, clip_value: float) -> Callable:
    """Returns the factory, its optimiser preceded by the clipping that is asked for."""
    clips = [optax.clip(clip_value)] if clip_value else []
    clips += [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    if not clips:
        return factory

    @functools.wraps(factory)
    def clipped(**kwargs):
        return optax.chain(*clips, factory(**kwargs))

    return clipped


def _injected(
    factory: Callable, learning_rate: float, kwargs: Mapping[str, Any]
) -> optax.GradientTransformationExtraArgs:
    """Builds an optimiser whose floats are arrays of its state; flags, choices and counts are structure."""
    bound = inspect.signature(factory).bind(learning_rate=learning_rate, **kwargs)
    bound.apply_defaults()
    static = [key for key, value in bound.arguments.items() if not isinstance(value, float)]
    injected = optax.inject_hyperparams(factory, static_args=static)
    return optax.with_extra_args_support(injected(learning_rate=learning_rate, **kwargs))


def _try(name: str, transform: optax.GradientTransformationExtraArgs, with_loss: bool) -> None:
    """Traces an update of a small problem, to see whether the optimiser refuses it; computes nothing."""
    try:
        state = jax.eval_shape(
            functools.partial(_small_update, transform, with_loss),
            {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2)},
        )
    except (TypeError, ValueError) as error:
        if with_loss or "value_fn" not in str(error):
            raise
        raise ConfigError(
            f"'{name}' searches along a loss, and players here have directions alone; use another, such as "
            "sgd or adam",
            "name",
        ) from error
    if any(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(state)):
        raise ConfigError(
            f"'{name}' keeps a random key of its own in its state; config.seed must fix all samples",
            "name",
        )


def _small_update(transform: optax.GradientTransformationExtraArgs, with_loss: bool, params: Any) -> Any:
    """Returns the state after one update by the gradient of ||theta||^2."""
    value, grad = jax.value_and_grad(_square)(params)
    extra = {"value_fn": _square} if with_loss else {}
    return transform.update(grad, transform.init(params), params, value=value, grad=grad, **extra)[1]


def _square(params: Any) -> jax.Array:
    return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def _with_rates(
    transform: optax.GradientTransformationExtraArgs,
    schedule: schedules.Schedule | None,
    chooses_rate: bool,
    project: Projection,
) -> Optimizer:
    """Returns the pair with its schedule applied, and what it says of its rate."""

    def init(params):
        # Without weak types, or the second step would compile again; copies, for equal arrays cannot be
        # donated.
        return jax.tree.map(lambda x: jnp.array(x, x.dtype), transform.init(params))

    def scheduled_rate(state):
        base = _base_rate(state)
        return base if schedule is None else (base * schedule(state.count)).astype(base.dtype)

    def update(grads, state, params=None, **extra):
        updates, new = transform.update(grads, _with_rate(state, scheduled_rate(state)), params, **extra)
        return updates, _with_rate(new, _base_rate(state))

    def last_choice(state):
        return jnp.where(state.count == 0, scheduled_rate(state), _step_size(state))

    if chooses_rate:
        return Optimizer(init, update, last_choice, lambda before, after: _step_size(after), project)
    return Optimizer(init, update, scheduled_rate, lambda before, after: scheduled_rate(before), project)


def _base_rate(state: Any) -> jax.Array:
    return state.hyperparams["learning_rate"]


def _with_rate(state: Any, learning_rate: jax.Array) -> Any:
    return state._replace(hyperparams={**state.hyperparams, "learning_rate": learning_rate})


def _step_size(state: Any) -> jax.Array:
    """Returns the rate of the last update of an optimiser that chooses it."""
    return optax.tree.get(state, "step_size")
