"""Repeat copy: sequences, the loss by hand, learning, and bad input."""

import jax
import numpy as np
import pytest
from conftest import small_config, states_equal, trained

from experiments import registry
from experiments.dnc.task import repeat_copy, steps
from lib.errors import ConfigError

TINY = ("dnc.hidden=8", "dnc.slots=4", "dnc.width=4", "dnc.heads=1", "batch_size=1")


@pytest.mark.parametrize(("lengths", "repeats"), [((1, 2), (1, 2)), ((3, 3), (2, 2)), ((1, 4), (1, 3))])
def test_sequences_are_a_pattern_and_its_repeats(lengths, repeats):
    bits, n = 4, 200
    seen, target, mask = map(np.asarray, repeat_copy(jax.random.key(0), n, bits, lengths, repeats))
    t = steps(lengths[1], repeats[1])
    assert (seen.shape, target.shape, mask.shape) == ((n, t, 6), (n, t, 5), (n, t))
    found = set()
    for x, y, m in zip(seen, target, mask, strict=True):
        np.testing.assert_array_equal(x[:, 4], np.eye(t)[0])  # the start marker
        (at,) = np.flatnonzero(x[:, 5])
        length, times = at - 1, round(10 * x[at, 5])
        found.add((length, times))
        pattern = x[1:at, :4]
        begin = at + 1
        end = begin + length * times
        np.testing.assert_array_equal(y[begin:end, :4], np.tile(pattern, (times, 1)))
        np.testing.assert_array_equal(np.flatnonzero(y[:, 4]), [end])
        np.testing.assert_array_equal(np.flatnonzero(m), np.arange(begin, end + 1))
        assert not (x[begin:].any() or y[:begin].any() or y[end + 1 :].any() or y[end, :4].any())
    whole = {(i, j) for i in range(lengths[0], lengths[1] + 1) for j in range(repeats[0], repeats[1] + 1)}
    assert found == whole
    assert 0.4 < seen[:, 1, :4].mean() < 0.6


def test_the_loss_is_the_cross_entropy_of_the_bits_that_count():
    config = registry.validated(small_config("dnc/repeat_copy", *TINY))
    experiment = registry.build(config, None)
    losses = experiment.game.rule.dynamics.game.losses
    params = experiment.draw(jax.random.key(1), None)
    sequences = losses.draw(jax.random.key(2), 7)
    loss, metrics = losses.of_sequences(params, sequences)
    logits = np.asarray(losses.network.apply({"params": params}, sequences.observation), np.float64)
    p = 1 / (1 + np.exp(-logits))
    total = wrong = bits = 0
    for row, y, m in zip(p, np.asarray(sequences.target), np.asarray(sequences.mask), strict=True):
        for t in np.flatnonzero(m):
            total -= np.sum(y[t] * np.log(row[t]) + (1 - y[t]) * np.log(1 - row[t]))
            wrong += np.sum((row[t] > 0.5) != y[t])
            bits += len(y[t])
    assert float(loss) == pytest.approx(total / 7, rel=1e-5)
    assert float(metrics["bit_error"]) == pytest.approx(wrong / bits, rel=1e-6)


def test_a_resumed_run_is_bitwise_the_run_that_never_stopped(make):
    args = ("dnc/repeat_copy", *TINY)
    whole = trained(make(*args, workdir="whole"))
    trained(make(*args, "num_steps=2", workdir="parts"))
    assert states_equal(trained(make(*args, workdir="parts")), whole)


def test_it_learns_a_short_copy(make):
    task = ("dnc.max_length=1", "dnc.max_repeats=1", "dnc.bits=2", "num_steps=600", "log_every=600")
    adam = ("dnc.optimizer.name=adam", "dnc.optimizer.learning_rate=0.02")
    trainer = make("dnc/repeat_copy", *TINY, *task, *adam, "eval_every=0", "checkpoint_every=600")
    before = trainer.programs.evaluate(trainer.programs.place(jax.device_get(trainer.programs.init())))
    after = trainer.programs.evaluate(trained(trainer))
    assert before["bit_error"] > 0.2
    assert after["bit_error"] < 0.02
    assert after["loss"] < 0.1 * before["loss"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.name=digits"], "config.dataset.name: the sequences are made as they are needed"),
        (["dnc.min_length=3"], "config.dnc.min_length: 3 is above max_length 2"),
        (["dnc.optimizer.name=adm"], "config.dnc.optimizer.name: unknown optimiser 'adm'"),
        (["dnc.heads=0"], "config.dnc.heads: "),
    ],
)
def test_bad_input_is_one_line(overrides, message):
    config = small_config("dnc/repeat_copy", "batch_size=1", *overrides)
    with pytest.raises(ConfigError) as error:
        registry.build(registry.validated(config), None)
    assert str(error.value).startswith(message)
