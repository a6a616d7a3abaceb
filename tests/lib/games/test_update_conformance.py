"""What every update rule must do, whatever it is: a table of conformance, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import KEY, NO_DATA, PLAYERS, both, make_rule, turns

from lib import optimizers
from lib.games import updates
from lib.games.game import Aux, Game
from lib.games.updates import UPDATE_RULES, Options, Regularizers
from lib.games.updates.lookahead import LookaheadArguments
from lib.runtime.devices import AXIS

OPTIONS = {"lookahead": turns()._replace(arguments=LookaheadArguments(every=1))}  # divides the batch
CASES = {
    **{
        name: (name, {"momentum": -0.2, "explicit": both(0.1, 0.2, 0.3), "options": OPTIONS.get(name)})
        for name in UPDATE_RULES
    },
    **{f"{name}, sga": (name, {"sga": 0.4}) for name in ("simultaneous", "alternating")},
    **{f"runge_kutta_{n}, after": (f"runge_kutta_{n}", {"rk_after": both(0.1, 0.2)}) for n in (1, 4)},
}


def counting_game() -> Game:
    """Makes a game of two scalars and data whose net_state counts evaluations."""

    def losses(p, state, batch, key):
        x, y = p["disc"], p["gen"]
        values = {"disc": jnp.mean(batch * jnp.sin(x * y) + x**2), "gen": jnp.mean(batch * x * y**2)}
        return values, Aux({"evaluations": state["evaluations"] + 1}, {})

    return Game(PLAYERS, losses)


class Results:
    """One step of every case: compiled, not compiled, and on two devices, all cases in one program."""

    def __init__(self):
        game = counting_game()
        rules = {
            case: make_rule(game, name, (0.1, 0.2), **kwargs) for case, (name, kwargs) in CASES.items()
        }
        batch = np.array([0.3, -1.2, 2.0, 0.9])
        params = {"disc": jnp.float64(0.4), "gen": jnp.float64(-0.7)}
        evaluations = {"evaluations": jnp.zeros([], jnp.int32)}
        self.start = {case: rule.init(params, evaluations) for case, rule in rules.items()}

        def step(states, batch, key):
            stepped = {case: rule.step(states[case], batch, key) for case, rule in rules.items()}
            return {case: s for case, (s, _) in stepped.items()}, {
                case: m for case, (_, m) in stepped.items()
            }

        compiled = jax.jit(step)
        self.one, self.metrics = compiled(self.start, batch, KEY)
        self.two, _ = compiled(self.one, batch, KEY)
        self.compilations = compiled._cache_size()
        self.not_compiled, _ = step(self.start, batch, KEY)
        parallel = jax.pmap(
            step, AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.local_devices()[:2]
        )
        self.on_two_devices, _ = parallel(self.start, batch.reshape(2, 2), KEY)


@pytest.fixture(scope="module")
def results():
    """Takes the steps once for all cases."""
    with jax.enable_x64(True):
        yield Results()


def test_a_step_is_compiled_once(results):
    assert results.compilations == 1


@pytest.mark.parametrize("case", CASES)
def test_a_step_moves_everybody_and_keeps_the_state_s_structure(results, case):
    start, one = results.start[case], results.one[case]
    assert jax.tree.map(jnp.shape, results.two[case]) == jax.tree.map(jnp.shape, start)
    assert {"disc_loss", "gen_loss", "disc_learning_rate"} < set(results.metrics[case])
    moved = jax.tree.map(lambda a, b: abs(a - b) > 1e-3, start.params, one.params)
    assert all(jax.tree.leaves(moved))
    assert one.net_state["evaluations"] == (2 if UPDATE_RULES[CASES[case][0]].in_turn else 1)


@pytest.mark.parametrize("case", CASES)
def test_compiled_or_not_on_one_device_or_two_a_step_is_the_same(results, case):
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, results.one[case], results.not_compiled[case])
    jax.tree.map(close, results.one[case], results.on_two_devices[case])


@pytest.mark.usefixtures("float64")
def test_a_game_of_one_player():
    """Takes a step of every rule: all apply."""
    game = Game(("model",), lambda p, s, b, k: ({"model": p["model"] ** 2 / 2}, Aux(s, {})))
    optimizer = {"model": optimizers.make("sgd", 0.1, {})}
    options = Options(("model",), {"model": 1})

    @jax.jit
    def step_all(start):
        ends = {}
        for name in UPDATE_RULES:
            own = options._replace(arguments=OPTIONS[name].arguments) if name in OPTIONS else options
            rule = updates.make(name, game, optimizer, Regularizers.none(("model",)), own)
            state, _ = rule.step(rule.init({"model": start}, {}), NO_DATA, KEY)
            ends[name] = state.params["model"]
        return ends

    ends = step_all(jnp.ones([]))
    assert set(ends) == set(UPDATE_RULES)
    # With a symmetric Jacobian the second term of its direction is the first one.
    assert 0.79 < ends.pop("local_symplectic_surgery") < 0.81
    assert ends.pop("lookahead") == pytest.approx(0.95)  # half of its one inner step
    for name, end in ends.items():
        assert 0.89 < end < 0.92, name
