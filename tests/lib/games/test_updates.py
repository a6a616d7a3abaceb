"""Update rules: spectra of their steps on games with closed forms, what a step sees and does."""

import functools

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
    with_rates,
)

from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.eigenvalues import eigenvalues, spectral_radius
from lib.games.game import Aux, Game
from lib.games.operators import update_jacobian
from lib.games.regularizers import regularizer_gradients
from lib.games.updates import Regularizers, Weights
from lib.optimizers import schedules

pytestmark = pytest.mark.usefixtures("float64")

CONSENSUS = {"explicit": both(self_norm=0.5, other_norm=0.5)}
REGULARIZER = {"explicit": both(other_norm=0.5)}
RULES = {  # {name: (update rule, what else)} of those whose spectra are measured
    "simultaneous": ("simultaneous", {}),
    "runge_kutta_1": ("runge_kutta_1", {}),
    "alternating": ("alternating", {}),
    "alternating, gen first": ("alternating", {"options": turns(first="gen")}),
    "alternating, 3 and 2": ("alternating", {"options": turns(3, 2)}),
    "consensus": ("simultaneous", CONSENSUS),
    "regularizer": ("simultaneous", REGULARIZER),
    "sga, aligned": ("simultaneous", {"sga": 0.5}),
    "sga, fixed": ("simultaneous", {"sga": 0.5, "align": False}),
    "extragradient": ("extragradient", {}),
    "optimistic": ("optimistic", {}),
    "runge_kutta_2": ("runge_kutta_2", {}),
    "runge_kutta_4": ("runge_kutta_4", {}),
    "momentum, simultaneous": ("simultaneous", {"momentum": 0.1}),
    "momentum, alternating": ("alternating", {"momentum": 0.1}),
    "strong consensus": ("simultaneous", {"explicit": both(1.0, 1.0)}),
}


@functools.cache
def bound(game, name):
    """Makes a rule of RULES once: rates and momenta are numbers of its state."""
    rule, kwargs = RULES[name]
    return make_rule(game, rule, (1.0, 1.0), **kwargs)


def squared_radius(game, name, rates, **hyperparams) -> float:
    """Computes it of a whole step, optimiser's and rule's memory included, at the equilibrium (0, 0)."""
    rule = bound(game, name)
    state = with_rates(initial(rule, (0.0, 0.0)), rates, **hyperparams)
    return spectral_radius(eigenvalues(update_jacobian(rule, state, NO_DATA, KEY))) ** 2


def consensus(a, b, g):
    """Returns det [[1 - a g, -a], [b, 1 - b g]]: the squared radius where the eigenvalues are complex."""
    return (1 - a * g) * (1 - b * g) + a * b


EXACT = {  # {rule: squared radius for rates a and b}
    "simultaneous": lambda a, b: 1 + a * b,
    "runge_kutta_1": lambda a, b: 1 + a * b,
    "alternating": lambda a, b: 1.0,
    "alternating, gen first": lambda a, b: 1.0,
    "alternating, 3 and 2": lambda a, b: 1.0,
    "consensus": lambda a, b: consensus(a, b, 0.5),
    "regularizer": lambda a, b: consensus(a, b, 0.5),
    "sga, aligned": lambda a, b: consensus(a, b, 0.5),
    "sga, fixed": lambda a, b: consensus(a, b, 0.5),
    "extragradient": lambda a, b: 1 - a * b + (a * b) ** 2,
    "optimistic": lambda a, b: (1 + np.sqrt(1 - 4 * a * b)) / 2,
    "runge_kutta_2": lambda a, b: 1 + (a * b) ** 2 / 4,
    "runge_kutta_4": lambda a, b: 1 - (a * b) ** 3 / 72 + (a * b) ** 4 / 576,
}


@pytest.mark.parametrize("rates", [(0.3, 0.3), (0.35, 0.2)])
@pytest.mark.parametrize("name", EXACT)
def test_bilinear_spectral_radius(name, rates):
    assert squared_radius(BILINEAR, name, rates) == pytest.approx(EXACT[name](*rates), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("alternating", 2.0),
        ("consensus", 2 * 0.5 / (1 + 0.5**2)),
        ("extragradient", 1.0),
        ("runge_kutta_4", 2 * np.sqrt(2)),
    ],
)
def test_bilinear_stability_limit(name, limit):
    below, above = (squared_radius(BILINEAR, name, (h, h)) for h in (0.99 * limit, 1.01 * limit))
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
    """Expects 1 + leading eta^2 + O(eta^4). With alternating updates -1/2 is best: 1 - 0.2963 eta^2."""
    radius = functools.partial(squared_radius, BILINEAR, f"momentum, {rule}", momentum=momentum)
    rates = np.array([0.04, 0.02])
    values = np.array([radius((h, h)) for h in rates])
    assert (values - 1) / rates**2 == pytest.approx(leading(momentum), rel=0.02)
    rest = np.abs(values - 1 - leading(momentum) * rates**2)
    assert np.log2(rest[0] / rest[1]) == pytest.approx(4, abs=0.2)
    # With unequal rates, their product.
    assert radius((0.04, 0.01)) == pytest.approx(values[1], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simultaneous", lambda c: 1 + c**2),
        ("alternating", lambda c: 1.0),
        ("strong consensus", lambda c: (1 - c / 2) ** 2 + c**2),
        ("extragradient", lambda c: 1 - c**2 + c**4),
    ],
)
def test_dirac_gan(name, expected):
    """Expects a bilinear game with coupling 1/2 near the equilibrium: c is half the rate."""
    rate, steps = 0.2, 100
    radius = np.sqrt(expected(rate / 2))
    assert squared_radius(DIRAC, name, (rate, rate)) == pytest.approx(radius**2, abs=1e-8)
    step, start = take(bound(DIRAC, name)), np.array([0.05, -0.02])
    end = start
    for _ in range(steps):
        end = step(end, (rate, rate))
    growth = (np.linalg.norm(end) / np.linalg.norm(start)) ** (1 / steps)
    assert growth == pytest.approx(radius, abs=1e-3)  # of the non-linear dynamics
    if radius != 1:
        assert (growth > 1) == (radius > 1)


def test_rk_after_terms_are_added_once_at_the_initial_parameters():
    point, rates = jnp.array([0.4, -0.7]), (0.3, 0.2)
    plain, after = (
        take(make_rule(NONLINEAR, "runge_kutta_4", rates, rk_after=w))(point, rates)
        for w in (both(), both(0.3, 0.5, 0.7))
    )
    active = dict.fromkeys(PLAYERS, ("self_norm", "other_norm", "other_dot_prod"))

    @jax.jit
    def terms_at(point):
        params = dict(zip(PLAYERS, point, strict=True))
        terms = regularizer_gradients(
            NONLINEAR, both(0.3, 0.5, 0.7), active, params, {}, None, KEY, "biased"
        )
        return jnp.stack([terms[x] for x in PLAYERS])

    expected = -np.array(rates) * terms_at(point)
    assert np.abs(expected).min() > 1e-3
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
    """Makes a game of two scalars whose gradient is the mean of the batch that is seen."""

    def losses(params, state, batch, key):
        return {x: params[x] * batch.mean() for x in PLAYERS}, Aux(state, {})

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
    batch = np.arange(3.0 * n) ** 2
    state, _ = jax.jit(rule.step)(initial(rule, (0.0, 0.0)), batch, KEY)
    assert state.params["gen"] == pytest.approx(-0.5 * np.dot(weights, batch.reshape(n, 3).mean(1)))


def test_alternating_moves_see_each_other_and_several_updates_their_own_batches():
    """Lets disc, L = x b, walk down its batches' means, and gen, L = x y, see where it ended."""

    def losses(p, state, batch, key):
        return {"disc": p["disc"] * batch.mean(), "gen": p["disc"] * p["gen"]}, Aux(state, {})

    rule = make_rule(Game(PLAYERS, losses), "alternating", (0.5, 0.5), options=turns(2, 1))
    assert rule.batches_per_step == 2
    batch = jnp.array([1.0, 3.0, 4.0, 6.0])
    state, _ = jax.jit(rule.step)(initial(rule, (1.0, 2.0)), batch, KEY)
    assert state.params["disc"] == pytest.approx(1 - 0.5 * 2 - 0.5 * 5)
    assert state.params["gen"] == pytest.approx(2 - 0.5 * state.params["disc"])


def test_drift_follows_the_schedule():
    """Expects of a decayed rate, its drift cancelled, what that rate does from the beginning."""
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
    start = initial(constant, [first.params[x] for x in PLAYERS])
    expected, _ = jax.jit(constant.step)(start, NO_DATA, KEY)
    assert second.params["disc"] != first.params["disc"]
    for x in PLAYERS:
        assert float(second.params[x]) == pytest.approx(float(expected.params[x]), rel=1e-12)


def test_metrics_show_the_rate_that_an_update_chose():
    """Expects on x^2 / 2 alpha_1 = alpha_0 + beta x_1 x_0, logged at the step that used it."""
    game = Game(("model",), lambda p, s, b, k: ({"model": p["model"] ** 2 / 2}, Aux(s, {})))
    optimizer = {"model": optimizers.make("sgd_hd", 0.1, {"beta": 0.01})}
    rule = updates.make("simultaneous", game, optimizer, Regularizers.none(("model",)))
    step = jax.jit(rule.step)
    state, first = step(rule.init({"model": jnp.ones([])}, {}), NO_DATA, KEY)
    state, second = step(state, NO_DATA, KEY)
    assert float(first["model_learning_rate"]) == pytest.approx(0.1)
    assert float(second["model_learning_rate"]) == pytest.approx(0.109, rel=1e-12)
    assert float(state.params["model"]) == pytest.approx(0.9 * (1 - 0.109), rel=1e-12)


def test_unknown_rule():
    with pytest.raises(
        ConfigError, match="unknown name 'simultanous'; did you mean 'simultaneous'"
    ) as refused:
        make_rule(BILINEAR, "simultanous", (0.1, 0.1))
    assert refused.value.field == "updates"
