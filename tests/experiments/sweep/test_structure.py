"""Runs of one structure: their compiled programs are the same text, so one serves all of them."""

import functools
import itertools

import jax
import numpy as np
import pytest
from conftest import small_config, states_equal

from experiments import registry
from experiments.sweep import structure
from lib.config import apply_overrides
from lib.runtime.programs import Programs
from lib.runtime.trainer import Trainer

_RING = ("gan/ring8_sgd", "gan.nets.kwargs.num_units=2", "gan.num_latents=2")
_MOMENTUM = tuple(
    f"gan.optimizers.{x}.{field}"
    for x in ("disc", "gen")
    for field in ("name=sgd", "kwargs.momentum=0.5", "learning_rate=0.01")
)
_TERMS = tuple(
    f"gan.grad_regularizes.{field}.{x}.{term}=0.1"
    for field in ("dd_coeffs_multiplier", "explicit_non_dd_coeffs", "rk_after_explicit_coeffs")
    for x in ("disc", "gen")
    for term in ("self_norm", "other_norm", "other_dot_prod")
)
_PENALTIES = ("gan.gradient_penalty=0.1", "gan.r1_penalty=0.1", "gan.r2_penalty=0.1")
_LOGISTIC = (
    "classifier/digits",
    "classifier.model.name=logistic",
    "classifier.augmentation.crop_padding=0",
)


def _classifier(name: str, *arguments: str) -> tuple[str, ...]:
    section = "classifier.optimizer"
    kwargs = [f"{section}.kwargs.{argument}" for argument in arguments]
    return (*_LOGISTIC, f"{section}.name={name}", f"{section}.learning_rate=0.1", *kwargs)


def _decay(section: str) -> tuple[str, ...]:
    values = {"name": "exponential_decay", "kwargs.transition_steps": 2, "kwargs.decay_rate": 0.5}
    return tuple(f"{section}.schedule.{field}={value}" for field, value in values.items())


# {label: a config and overrides}: all fields of the table are numbers in one of these.
RUNS = {
    "gan with all terms": (
        *(*_RING, "gan.updates=runge_kutta_1", "gan.allow_unsound=True"),
        *(*_MOMENTUM, *_TERMS, *_PENALTIES, "gan.sga.weight=0.1", "gan.sga.align=False"),
    ),
    "alternating gan": (*_RING, "gan.updates=alternating", *_PENALTIES[1:]),
    "aligned gan": (*_RING, *_MOMENTUM, "gan.sga.weight=0.1", "gan.sga.align=True"),
    "game": ("games/dirac_gan",),
    "eigengame": ("eigengame/digits", "eigengame.k=2"),
    "cca": ("cca/digits", "cca.k=2"),
    "sgd": _classifier("sgd", "momentum=0.9", "nesterov=True"),
    "decaying sgd": (*_classifier("sgd"), *_decay("classifier.optimizer")),
    "decaying gan": (*_RING, *_decay("gan.optimizers.disc")),
    "adam": _classifier("adam", "b1=0.9", "b2=0.99", "eps=1e-6"),
    "sgd_hd": _classifier("sgd_hd", "beta=1e-3"),
    "sgdn_hd": _classifier("sgdn_hd", "momentum=0.9", "beta=1e-3"),
    "adam_hd": _classifier("adam_hd", "beta=1e-7"),
    "alig": _classifier("alig", "momentum=0.9", "max_norm=3.0"),
    "dal": _classifier("dal", "p=0.5"),
    "polyak_sgd": _classifier("polyak_sgd", "lower_bound=0.1", "eps=1e-6"),
    "sps_max": _classifier("sps_max"),
}


def _trainer(raw, tmp_path) -> Trainer:
    config = registry.validated(raw)
    return Trainer(registry.programs(config, jax.local_devices()[:1]), tmp_path)


def _texts(trainer: Trainer, of: Trainer | None = None) -> list[str]:
    """Returns what XLA is given of the training step and of the evaluation.

    Args:
      of: the run whose state they take, by default the trainer's own.
    """
    programs, batches = trainer.programs, trainer.batches
    start = _start((of or trainer).programs)
    state = programs.place(start)
    feeds = jax.tree.map(lambda x: np.asarray(x)[:, None], batches.feed(0))
    key, one = jax.random.key(0), np.uint32(0)
    steps = programs.compiled.training_steps(batches.batch, batches.constants)
    held_out = jax.tree.map(lambda x: x[:, None], next(programs._eval_batches()))
    lowered = [
        steps.lower(state, programs.constants(batches), feeds, key, one),
        programs.compiled.eval_steps.lower(state, held_out, key, one),
        programs.compiled.eval_state.lower(start),
    ]
    return [low.as_text() for low in lowered]


@functools.cache
def _start(programs: Programs):
    return jax.device_get(programs.init())


def _changed(raw, field: str, value):
    return apply_overrides(raw, [f"--config.{field}={value}"])


def _other_value(field: str, value):
    return value + 1 if field == structure.SEED else 0.9 * value


def _with_other_numbers(label: str):
    """Returns the config of a label with all numbers of the state changed."""
    raw = small_config(*RUNS[label])
    for field, value in _numbers(label).items():
        raw = _changed(raw, field, _other_value(field, value))
    return raw


def _numbers(label: str) -> dict[str, object]:
    fields = structure.fields(registry.validated(small_config(*RUNS[label])))
    return {f: v for f, v in fields.items() if structure.is_number(f, v)}


@pytest.mark.parametrize("label", RUNS)
def test_programs_of_runs_that_differ_in_numbers_are_the_same(label, tmp_path):
    raw = small_config(*RUNS[label])
    first = _trainer(raw, tmp_path)
    texts, numbers = _texts(first), _numbers(label)
    assert len(numbers) > 1
    other = _with_other_numbers(label)
    assert structure.differing([structure.structure(registry.validated(c)) for c in (raw, other)]) == []
    assert _texts(_trainer(other, tmp_path), first) == texts  # a number that is in one is not in the other


def test_every_line_of_the_table_is_tested():
    fields = [field for label in RUNS for field in _numbers(label)]
    for pattern in (*structure.OF_OPTIMIZERS, *structure.OF_TERMS):
        assert any(structure.matches(field, pattern) for field in fields), pattern


@pytest.mark.parametrize("label", ["alternating gan", "sgdn_hd"])
def test_a_program_run_with_other_numbers_is_the_one_compiled_for_them(label, tmp_path):
    raw, other = small_config(*RUNS[label]), _with_other_numbers(label)
    a, b = (_trainer(config, tmp_path) for config in (raw, other))
    feeds = jax.tree.map(lambda x: np.asarray(x)[:, None], b.batches.feed(0))
    results = []
    for compiled_for in (a, b):
        steps = compiled_for.programs.compiled.training_steps(b.batches.batch, b.batches.constants)
        start = b.programs.place(b.programs.init())
        constants = b.programs.constants(b.batches)
        results.append(steps(start, constants, feeds, jax.random.key(b.programs.config.seed), np.uint32(0)))
    assert states_equal(*results)
    assert not states_equal(results[1][0], a.programs.place(a.programs.init()))


@pytest.mark.parametrize(
    ("label", "field", "value"),
    [
        ("sgd", "classifier.optimizer.clip_norm", 0.1),
        ("sgd", "classifier.optimizer.clip_value", 0.1),
        ("decaying sgd", "classifier.optimizer.schedule.kwargs.decay_rate", 0.9),
        ("decaying gan", "gan.optimizers.disc.schedule.kwargs.decay_rate", 0.9),
        ("sgd", "classifier.l2", 0.1),
        ("sgd", "classifier.optimizer.kwargs.nesterov", False),
        ("aligned gan", "gan.sga.weight", 0.0),
        ("alternating gan", "gan.r1_penalty", 0.0),
    ],
)
def test_structure_is_no_number(label, field, value, tmp_path):
    raw = small_config(*RUNS[label])
    other = _changed(raw, field, value)
    structures = [structure.structure(registry.validated(c)) for c in (raw, other)]
    assert structure.differing(structures) == [field]
    assert structure.group_numbers([*structures, structures[0]]) == [1, 2, 1]
    assert _texts(_trainer(raw, tmp_path)) != _texts(_trainer(other, tmp_path))


def test_a_count_of_an_optimiser_is_no_number():
    values = itertools.product(("classifier.optimizer.kwargs.order",), (3, True, None, "text"))
    assert not any(structure.is_number(*pair) for pair in values)
