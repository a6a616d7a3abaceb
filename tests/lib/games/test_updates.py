"""Update rules: spectra of their steps on games with closed forms in float64, and a table of conformance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import (
    BILINEAR,
    DIRAC,
    KEY,
    NO_DATA,
    NONLINEAR,
    PLAYERS,
    both,
    initial,
    make_rule,
    take,
    turns,
)

from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.game import Aux, Game
from lib.games.regularizers import regularizer_gradients
from lib.games.eigenvalues import eigenvalues, spectral_radius
from lib.games.operators import update_jacobian
from lib.games.updates import UPDATE_RULES, Options, Regularizers, Weights
from lib.optimizers import schedules
from lib.runtime.devices import AXIS

pytestmark = pytest.mark.usefixtures("float64")


def squared_radius(rule) -> float:
    """Of the Jacobian of a whole step, optimiser's and rule's memory included, at the equilibrium (0, 0)."""
    operator = update_jacobian(rule, initial(rule, (0.0, 0.0)), NO_DATA, KEY)
    return spectral_radius(eigenvalues(operator)) ** 2


def consensus(a, b, g):
    """Determinant of [[1 - a g, -a], [b, 1 - b g]]: the squared radius where the eigenvalues are complex."""
    return (1 - a * g) * (1 - b * g) + a * b


CONSENSUS = {"explicit": both(self_norm=0.5, other_norm=0.5)}
REGULARIZER = {"explicit": both(other_norm=0.5)}
# (rule, {what else}, squared radius for rates a and b)
EXACT = [
    ("simultaneous", {}, lambda a, b: 1 + a * b),
    ("runge_kutta_1", {}, lambda a, b: 1 + a * b),
    ("alternating", {}, lambda a, b: 1.0),
    ("alternating", {"options": turns(first="gen")}, lambda a, b: 1.0),
    ("alternating", {"options": turns(3, 2)}, lambda a, b: 1.0),
    ("simultaneous", CONSENSUS, lambda a, b: consensus(a, b, 0.5)),
    ("simultaneous", REGULARIZER, lambda a, b: consensus(a, b, 0.5)),
    ("simultaneous", {"sga": 0.5}, lambda a, b: consensus(a, b, 0.5)),
    ("simultaneous", {"sga": 0.5, "align": False}, lambda a, b: consensus(a, b, 0.5)),
    ("extragradient", {}, lambda a, b: 1 - a * b + (a * b) ** 2),
    ("optimistic", {}, lambda a, b: (1 + np.sqrt(1 - 4 * a * b)) / 2),
    ("runge_kutta_2", {}, lambda a, b: 1 + (a * b) ** 2 / 4),
    ("runge_kutta_4", {}, lambda a, b: 1 - (a * b) ** 3 / 72 + (a * b) ** 4 / 576),
]


@pytest.mark.parametrize("rates", [(0.3, 0.3), (0.35, 0.2)])
@pytest.mark.parametrize(("rule", "kwargs", "expected"), EXACT)
def test_bilinear_spectral_radius(rule, kwargs, expected, rates):
    found = squared_radius(make_rule(BILINEAR, rule, rates, **kwargs))
    assert found == pytest.approx(expected(*rates), abs=1e-8)


# (rule, {what else}, largest stable rate)
LIMITS = [
    ("alternating", {}, 2.0),
    ("simultaneous", CONSENSUS, 2 * 0.5 / (1 + 0.5**2)),
    ("extragradient", {}, 1.0),
    ("runge_kutta_4", {}, 2 * np.sqrt(2)),
]


@pytest.mark.parametrize(("rule", "kwargs", "limit"), LIMITS)
def test_bilinear_stability_limit(rule, kwargs, limit):
    below, above = (
        squared_radius(make_rule(BILINEAR, rule, (h, h), **kwargs)) for h in (0.99 * limit, 1.01 * limit)
    )
    assert below < 1 + 1e-8
    assert above > 1.001


@pytest.mark.parametrize("momentum", [-0.5, 0.3])
@pytest.mark.parametrize(
    ("rule", "leading"),
    [
        ("simultaneous", lambda b: (1 + b) / (1 - b) ** 3),
        ("alternating", lambda b: 2 * b / (1 - b) ** 3),
    ],
)
def test_momentum_on_the_bilinear_game_at_leading_order(rule, leading, momentum):
    """1 + leading eta^2 + O(eta^4). With alternating updates -1/2 is best: 1 - 0.2963 eta^2."""
    rates = np.array([0.04, 0.02])
    found = np.array([squared_radius(make_rule(BILINEAR, rule, (h, h), momentum=momentum)) for h in rates])
    assert (found - 1) / rates**2 == pytest.approx(leading(momentum), rel=0.02)
    rest = np.abs(found - 1 - leading(momentum) * rates**2)
    assert np.log2(rest[0] / rest[1]) == pytest.approx(4, abs=0.2)
    # With unequal rates, their product.
    unequal = squared_radius(make_rule(BILINEAR, rule, (0.04, 0.01), momentum=momentum))
    assert unequal == pytest.approx(found[1], abs=1e-6)


@pytest.mark.parametrize(
    ("rule", "kwargs", "expected"),
    [
        ("simultaneous", {}, lambda c: 1 + c**2),
        ("alternating", {}, lambda c: 1.0),
        ("simultaneous", {"explicit": both(1.0, 1.0)}, lambda c: (1 - c / 2) ** 2 + c**2),
        ("extragradient", {}, lambda c: 1 - c**2 + c**4),
    ],
)
def test_dirac_gan(rule, kwargs, expected):
    """Near its equilibrium it is bilinear with coupling 1/2: c is half the rate."""
    rate, steps = 0.2, 100
    rule = make_rule(DIRAC, rule, (rate, rate), **kwargs)
    radius = np.sqrt(expected(rate / 2))
    assert squared_radius(rule) == pytest.approx(radius**2, abs=1e-8)
    step, start = take(rule), jnp.array([0.05, -0.02])
    end = jax.lax.fori_loop(0, steps, lambda i, v: step(v, (rate, rate)), start)
    growth = (jnp.linalg.norm(end) / jnp.linalg.norm(start)) ** (1 / steps)
    assert growth == pytest.approx(radius, abs=1e-3)  # of the non-linear dynamics
    if radius != 1:
        assert (growth > 1) == (radius > 1)


def test_rk_after_terms_are_added_once_at_the_initial_parameters():
    point, rates = jnp.array([0.4, -0.7]), (0.3, 0.2)
    plain, after = (
        take(make_rule(NONLINEAR, "runge_kutta_4", rates, rk_after=w))(point, rates)
        for w in (both(), both(0.3, 0.5, 0.7))
    )
    params = dict(zip(PLAYERS, point, strict=True))
    active = dict.fromkeys(PLAYERS, ("self_norm", "other_norm", "other_dot_prod"))
    terms = regularizer_gradients(NONLINEAR, both(0.3, 0.5, 0.7), active, params, {}, None, KEY, "biased")
    expected = -jnp.array(rates) * jnp.stack([terms[x] for x in PLAYERS])
    assert jnp.abs(expected).min() > 1e-3
    np.testing.assert_allclose(after - plain, expected, rtol=1e-12)


def test_runge_kutta_1_is_simultaneous():
    point, rates = jnp.array([0.4, -0.7]), (0.3, 0.2)
    kwargs = {"multiplier": both(-1.0, 0.0, -1.0), "explicit": both(0.1, 0.2, 0.3)}
    a, b = (
        take(make_rule(NONLINEAR, r, rates, **kwargs))(point, rates)
        for r in ("simultaneous", "runge_kutta_1")
    )
    np.testing.assert_array_equal(a, b)


def mean_game() -> Game:
    """Two scalars whose gradient is the mean of the batch that is looked at."""
    losses = lambda p, s, batch, k: ({x: p[x] * batch.mean() for x in PLAYERS}, Aux(s, {}))
    return Game(PLAYERS, losses)


@pytest.mark.parametrize(
    ("rule", "weights"),
    [
        ("runge_kutta_2", (1 / 2, 1 / 2)),
        ("runge_kutta_4", (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
        ("extragradient", (0, 1)),
    ],
)
def test_fresh_stages_see_batches_of_their_own(rule, weights):
    rule = make_rule(mean_game(), rule, (0.5, 0.5), options=turns()._replace(fresh=True))
    n = len(weights)
    assert rule.batches_per_step == n
    batch = jnp.arange(3.0 * n) ** 2
    state, _ = rule.step(initial(rule, (0.0, 0.0)), batch, KEY)
    assert state.params["gen"] == pytest.approx(-0.5 * np.dot(weights, batch.reshape(n, 3).mean(1)))


def test_alternating_moves_see_each_other_and_several_updates_their_own_batches():
    """L_disc = x b, L_gen = x y: disc walks down its batches' means, gen sees where it ended."""

    def losses(p, state, batch, key):
        return {"disc": p["disc"] * batch.mean(), "gen": p["disc"] * p["gen"]}, Aux(state, {})

    rule = make_rule(Game(PLAYERS, losses), "alternating", (0.5, 0.5), options=turns(2, 1))
    assert rule.batches_per_step == 2
    state, _ = rule.step(initial(rule, (1.0, 2.0)), jnp.array([1.0, 3.0, 4.0, 6.0]), KEY)
    assert state.params["disc"] == pytest.approx(1 - 0.5 * 2 - 0.5 * 5)
    assert state.params["gen"] == pytest.approx(2 - 0.5 * state.params["disc"])


def counting_game() -> Game:
    """Two scalars and data; net_state counts evaluations."""

    def losses(p, state, batch, key):
        x, y = p["disc"], p["gen"]
        values = {"disc": jnp.mean(batch * jnp.sin(x * y) + x**2), "gen": jnp.mean(batch * x * y**2)}
        return values, Aux({"evaluations": state["evaluations"] + 1}, {})

    return Game(PLAYERS, losses)


CONFORMING = [
    *((name, {"momentum": -0.2, "explicit": both(0.1, 0.2, 0.3)}) for name in UPDATE_RULES),
    *((name, {"sga": 0.4}) for name in ("simultaneous", "alternating")),
    *((f"runge_kutta_{n}", {"rk_after": both(0.1, 0.2)}) for n in (1, 4)),
]


@pytest.mark.parametrize(("name", "kwargs"), CONFORMING)
def test_conformance(name, kwargs):
    """jit = no jit, one device = two devices, one compilation, one structure, net_state as documented."""
    rule = make_rule(counting_game(), name, (0.1, 0.2), **kwargs)
    batch = jnp.array([0.3, -1.2, 2.0, 0.9])
    state = rule.init(
        {"disc": jnp.float64(0.4), "gen": jnp.float64(-0.7)}, {"evaluations": jnp.zeros([], jnp.int32)}
    )
    step = jax.jit(rule.step)
    one, metrics = step(state, batch, KEY)
    two, _ = step(one, batch, KEY)
    assert step._cache_size() == 1
    assert jax.tree.map(jnp.shape, two) == jax.tree.map(jnp.shape, state)
    assert {"disc_loss", "gen_loss", "disc_learning_rate"} < set(metrics)
    moved = jax.tree.map(lambda a, b: abs(a - b) > 1e-3, state.params, one.params)
    assert all(jax.tree.leaves(moved))
    assert one.net_state["evaluations"] == (2 if UPDATE_RULES[name].in_turn else 1)

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, one, rule.step(state, batch, KEY)[0])
    on_two = jax.pmap(
        rule.step, AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.local_devices()[:2]
    )
    jax.tree.map(close, one, on_two(state, batch.reshape(2, 2), KEY)[0])


def test_drift_follows_the_schedule():
    """A decayed rate, its drift cancelled, is that rate from the beginning with its drift cancelled."""
    decay = schedules.make("exponential_decay", {"transition_steps": 1, "decay_rate": 0.5})
    weights = Weights.none(PLAYERS)._replace(multiplier=both(-1.0, 0.0, -1.0))
    regularizers = Regularizers(weights, "biased")

    def rule(rate, schedule):
        optimizer = {x: optimizers.make("sgd", rate, {}, schedule=schedule) for x in PLAYERS}
        return updates.make("simultaneous", NONLINEAR, optimizer, regularizers)

    step = jax.jit(rule(0.4, decay).step)
    first, metrics = step(initial(rule(0.4, decay), (0.4, -0.7)), NO_DATA, KEY)
    second, later = step(first, NO_DATA, KEY)
    assert (metrics["disc_learning_rate"], later["disc_learning_rate"]) == pytest.approx((0.4, 0.2))
    constant = rule(0.2, None)
    expected, _ = constant.step(initial(constant, [first.params[x] for x in PLAYERS]), NO_DATA, KEY)
    assert second.params["disc"] != first.params["disc"]
    for x in PLAYERS:
        assert float(second.params[x]) == pytest.approx(float(expected.params[x]), rel=1e-12)


def test_metrics_show_the_rate_that_an_update_chose():
    """x^2 / 2: alpha_1 = alpha_0 + beta x_1 x_0, logged at the step that used it."""
    game = Game(("model",), lambda p, s, b, k: ({"model": p["model"] ** 2 / 2}, Aux(s, {})))
    optimizer = {"model": optimizers.make("sgd_hd", 0.1, {"beta": 0.01})}
    rule = updates.make("simultaneous", game, optimizer, Regularizers.none(("model",)))
    state, first = rule.step(rule.init({"model": jnp.ones([])}, {}), NO_DATA, KEY)
    state, second = rule.step(state, NO_DATA, KEY)
    assert float(first["model_learning_rate"]) == pytest.approx(0.1)
    assert float(second["model_learning_rate"]) == pytest.approx(0.109, rel=1e-12)
    assert float(state.params["model"]) == pytest.approx(0.9 * (1 - 0.109), rel=1e-12)


def test_a_game_of_one_player():
    """All rules apply; a regulariser has only terms in its own norm."""
    game = Game(("model",), lambda p, s, b, k: ({"model": p["model"] ** 2 / 2}, Aux(s, {})))
    optimizer = {"model": optimizers.make("sgd", 0.1, {})}
    for name in UPDATE_RULES:
        rule = updates.make(
            name, game, optimizer, Regularizers.none(("model",)), Options(("model",), {"model": 1})
        )
        state, _ = rule.step(rule.init({"model": jnp.ones([])}, {}), NO_DATA, KEY)
        assert 0.89 < state.params["model"] < 0.92


def test_unknown_rule():
    with pytest.raises(ConfigError, match="unknown name 'simultanous'; did you mean 'simultaneous'"):
        make_rule(BILINEAR, "simultanous", (0.1, 0.1))
