"""Averages of parameters: their formulas in NumPy, resumption, devices, and what evaluates them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import largest_difference, small_config, states_equal, trained
from toys import BILINEAR, KEY, NO_DATA, PLAYERS, initial

from eval.evaluation import Evaluator
from experiments import registry
from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.averages import Averaging, averaged_states
from lib.games.operators import update_jacobian
from lib.games.updates import Regularizers
from lib.runtime import records

SMALL = ("gan.nets.name=dcgan", "gan.nets.kwargs.width=1", "gan.nets.kwargs.kernel=2", "gan.num_latents=2")
BOTH = ("averages.exponential=0.9", "averages.uniform=True")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "optimistic"])
def test_averages_are_those_of_the_trajectory(rule, start):
    sgd = {x: optimizers.make("sgd", 0.3, {}) for x in PLAYERS}
    averaging = Averaging(exponential=0.7, uniform=True, start=start, players=("gen",))
    bound = updates.make(rule, BILINEAR, sgd, Regularizers.none(PLAYERS), averaging=averaging)
    state = initial(bound, (1.0, -0.5))
    step, path = jax.jit(bound.step), [float(state.params["gen"])]
    for t in range(1, 41):
        state, _ = step(state, NO_DATA, KEY)
        path.append(float(state.params["gen"]))
        averages = {kind: float(s.params["gen"]) for kind, s in averaged_states(state).items()}
        if t <= start:
            assert averages == {"exponential": path[-1], "uniform": path[-1]}
            continue
        assert averages["uniform"] == pytest.approx(np.mean(path[start + 1 :]), rel=1e-12)
        by_hand = path[start]
        for n, point in enumerate(path[start + 1 :], 1):
            decay = min(0.7, (1 + n) / (10 + n))
            by_hand = decay * by_hand + (1 - decay) * point
        assert averages["exponential"] == pytest.approx(by_hand, rel=1e-12)
    assert abs(averages["uniform"] - path[-1]) > 0.05
    assert averages["exponential"] != averages["uniform"]
    for averaged in averaged_states(state).values():
        assert averaged.params["disc"] == state.params["disc"]


@pytest.mark.parametrize(
    ("name", "section", "player"),
    [("gan/ring8", "gan", "gen"), ("classifier/digits_edge", "classifier", "model")],
)
def test_averages_are_saved_and_a_resumed_run_is_the_one_that_never_stopped(make, name, section, player):
    overrides = ["eval_every=0", *(f"{section}.{x}" for x in BOTH)]
    whole = trained(make(name, *overrides, workdir="whole"))
    trained(make(name, *overrides, "num_steps=2", workdir="parts"))
    assert states_equal(trained(make(name, *overrides, workdir="parts")), whole)
    assert int(whole.averages.step) == 4
    for kind in ("exponential", "uniform"):
        assert largest_difference(whole.averages.params[kind][player], whole.params[player]) > 0
    other = trained(make(name, "eval_every=0", workdir="without"))
    assert other.averages is None
    assert largest_difference(other.params, whole.params) == 0


def test_averages_are_the_same_on_two_devices(make):
    overrides = [*(f"classifier.{x}" for x in BOTH), "classifier.model.kwargs.dropout=0.0"]
    one, two = (
        trained(make("classifier/digits", *overrides, num_devices=n, workdir=str(n))) for n in (1, 2)
    )
    assert largest_difference(one.averages, two.averages) < 1e-5


def test_averages_are_evaluated_and_scored_beside_the_last_parameters(make, monkeypatch, capsys):
    trainer = make("gan/digits", *SMALL, *(f"gan.{x}" for x in BOTH), "figures_every=4")
    monkeypatch.setattr(Evaluator, "_scorer", FakeScorer())
    monkeypatch.setattr(Evaluator, "network", None)
    state = trained(trainer)
    held_out = records.read_held_out(trainer.folder.metrics)[-1]
    averaged = averaged_states(state)["exponential"]._replace(averages=None)
    expected = make("gan/digits", *SMALL, workdir="other").programs.evaluate(averaged)
    of_average = {name: held_out[f"exponential/{name}"] for name in expected}
    assert of_average == pytest.approx(expected, rel=1e-5)
    assert held_out["uniform/fake_logit"] != held_out["fake_logit"]
    assert {"step", *trainer.programs.metric_names()} == held_out.keys()
    record = Evaluator(trainer.programs, trainer.folder).score(state, 4)
    means = [record[name] for name in ("mean", "exponential/mean", "uniform/mean")]
    assert len(set(means)) == 3
    assert "classes of the uniform average's" in capsys.readouterr().out
    pictures = {p.name for p in trainer.folder.figures.iterdir()}
    assert {f"{x}_0000004.png" for x in ("eval", "eval_uniform", "samples", "uniform_samples")} <= pictures


class FakeScorer:
    """Scores samples by the mean of their pixels."""

    bounds = ()

    def record(self, images, batches):
        mean = np.mean(np.concatenate(list(batches)))
        return {"images": images, "mean": float(mean), "classes": [1, 2]}


def test_the_names_of_all_scores_are_known_before_training(make):
    trainer = make("gan/digits", *(f"gan.{x}" for x in BOTH))
    names = Evaluator(trainer.programs, trainer.folder).metric_names
    assert {"digits_cnn_frechet", "uniform/digits_cnn_frechet", "exponential/real_logit"} <= {*names}
    assert records.lower_is_better("uniform/digits_cnn_frechet")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("averages.exponential=1.0", r"averages\.exponential: should be less than 1, got 1\.0"),
        ("averages.start=5", r"averages\.start: nothing is averaged"),
        ("averages.players=('gne',)", r"averages\.players: no player 'gne'; did you mean 'gen'"),
    ],
)
def test_what_has_no_effect_is_refused(override, line):
    with pytest.raises(ConfigError, match=rf"config\.gan\.{line}"):
        registry.validated(small_config("gan/digits", f"gan.{override}"))


def test_the_update_s_jacobian_leaves_averages_out():
    sgd = {x: optimizers.make("sgd", 0.3, {}) for x in PLAYERS}
    averaging = Averaging(uniform=True, players=PLAYERS)
    rule = updates.make("simultaneous", BILINEAR, sgd, Regularizers.none(PLAYERS), averaging=averaging)
    state = rule.init({x: jnp.zeros([]) for x in PLAYERS}, {})
    jacobian = update_jacobian(rule, state, None, KEY)
    assert jacobian.size == 2
    assert np.asarray(jacobian.apply(jnp.array([1.0, 0.0]))) == pytest.approx([1, 0.3])
