"""Separate batches of the players, against steps of every rule written out in NumPy, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import KEY, PLAYERS, both, initial, make_rule, turns

from lib import optimizers
from lib.games import updates
from lib.games.game import Aux, Game

pytestmark = pytest.mark.usefixtures("float64")

RATES = {"disc": 0.3, "gen": 0.2}
START = {"disc": 0.7, "gen": -0.4}
BATCH = 4  # numbers in a batch


def mean_game() -> Game:
    """Makes a game whose gradients, and all terms of the drift, depend on the mean m of a batch.

    L_disc = m x y + x^2 / 2,  L_gen = -m x y + m y^2
    """

    def losses(params, state, batch, key):
        x, y, m = params["disc"], params["gen"], batch.mean()
        return {"disc": m * x * y + x**2 / 2, "gen": -m * x * y + m * y**2}, Aux(state, {})

    return Game(PLAYERS, losses)


def gradients(p: dict, m: dict) -> dict:
    """Returns the players' gradients, each with its own mean."""
    x, y = p["disc"], p["gen"]
    return {"disc": m["disc"] * y + x, "gen": -m["gen"] * x + 2 * m["gen"] * y}


def dot_products(p: dict, m: dict, stopped: dict | None = None) -> dict:
    """Returns grad_x <grad_y L_x, grad_y L_y>, each on its player's own means; grad_y L_y is stopped."""
    x, y = p["disc"], p["gen"]
    a, b = (stopped or m)["disc"], (stopped or m)["gen"]
    return {"disc": m["disc"] * (-a * x + 2 * a * y), "gen": -m["gen"] * (b * y + x)}


def moved(p: dict, v: dict, scale: float = 1.0) -> dict:
    return {x: p[x] - scale * RATES[x] * v[x] for x in p}


def means(batch: np.ndarray) -> list[dict]:
    """Returns the means of the players' batches, stage by stage."""
    return [dict(zip(PLAYERS, pair, strict=True)) for pair in batch.reshape(-1, 2, BATCH).mean(-1)]


def simultaneous(p, batch):
    return moved(p, gradients(p, means(batch)[0]))


def simultaneous_with_dots(p, batch):
    (m,) = means(batch)
    dots = dot_products(p, m)
    return moved(p, {x: g + 0.5 * dots[x] for x, g in gradients(p, m).items()})


def simultaneous_with_dots_of_halves(p, batch):
    """Takes the differentiated factor of the first half of a batch, the stopped one of the second."""
    halves = batch.reshape(2, 2, BATCH // 2).mean(-1)
    first, second = (dict(zip(PLAYERS, halves[:, i], strict=True)) for i in range(2))
    dots = dot_products(p, first, second)
    return moved(p, {x: g + 0.5 * dots[x] for x, g in gradients(p, means(batch)[0]).items()})


def alternating_with_dots(p, batch):
    p = dict(p)
    for x, mean in zip(PLAYERS, batch.reshape(2, BATCH).mean(-1), strict=True):
        m = dict.fromkeys(PLAYERS, mean)
        p[x] -= RATES[x] * (gradients(p, m)[x] + 0.5 * dot_products(p, m)[x])
    return p


def runge_kutta_2(p, batch):
    m = means(batch)
    first, second = m if len(m) == 2 else 2 * m
    v = gradients(p, first)
    w = gradients(moved(p, v), second)
    return moved(p, {x: (v[x] + w[x]) / 2 for x in p})


def runge_kutta_4(p, batch):
    m = means(batch)
    v1 = gradients(p, m[0])
    v2 = gradients(moved(p, v1, 1 / 2), m[1])
    v3 = gradients(moved(p, v2, 1 / 2), m[2])
    v4 = gradients(moved(p, v3), m[3])
    return moved(p, {x: (v1[x] + 2 * v2[x] + 2 * v3[x] + v4[x]) / 6 for x in p})


def runge_kutta_2_with_terms_after(p, batch):
    m = means(batch)[0]
    end, dots = runge_kutta_2(p, batch), dot_products(p, m)
    return {x: end[x] - RATES[x] * 0.5 * dots[x] for x in p}


def extragradient(p, batch):
    m = means(batch)
    first, second = m if len(m) == 2 else 2 * m
    return moved(p, gradients(moved(p, gradients(p, first)), second))


def alternating(p, batch):
    """Moves disc twice and gen once, each update with a batch of its own."""
    p = dict(p)
    for x, mean in zip(("disc", "disc", "gen"), batch.reshape(3, BATCH).mean(-1), strict=True):
        p[x] -= RATES[x] * gradients(p, dict.fromkeys(PLAYERS, mean))[x]
    return p


DOTS = both(other_dot_prod=0.5)
CASES = {  # (rule, by hand, batches in a step, options, what else)
    "simultaneous": ("simultaneous", simultaneous, 2, turns(), {}),
    "simultaneous, terms": (
        "simultaneous",
        simultaneous_with_dots,
        2,
        turns(),
        {"explicit": DOTS, "estimator": "biased"},
    ),
    "runge_kutta_2": ("runge_kutta_2", runge_kutta_2, 2, turns(), {}),
    "runge_kutta_2, fresh": ("runge_kutta_2", runge_kutta_2, 4, turns()._replace(fresh=True), {}),
    "runge_kutta_2, terms after": (
        "runge_kutta_2",
        runge_kutta_2_with_terms_after,
        4,
        turns()._replace(fresh=True),
        {"rk_after": DOTS, "estimator": "biased"},
    ),
    "runge_kutta_4, fresh": ("runge_kutta_4", runge_kutta_4, 8, turns()._replace(fresh=True), {}),
    "extragradient": ("extragradient", extragradient, 2, turns(), {}),
    "extragradient, fresh": ("extragradient", extragradient, 4, turns()._replace(fresh=True), {}),
    "alternating": ("alternating", alternating, 3, turns(2, 1), {}),
    "alternating, terms": (
        "alternating",
        alternating_with_dots,
        2,
        turns(),
        {"explicit": DOTS, "estimator": "biased"},
    ),
    "simultaneous, terms of halves": (
        "simultaneous",
        simultaneous_with_dots_of_halves,
        2,
        turns(),
        {"explicit": DOTS, "estimator": "unbiased"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_that_by_hand(name):
    rule, by_hand, num_batches, options, kwargs = CASES[name]
    rule = make_rule(mean_game(), rule, RATES.values(), options=options._replace(separate=True), **kwargs)
    assert rule.batches_per_step == num_batches
    batch = np.random.default_rng(0).normal(size=num_batches * BATCH) + 1
    assert len({*batch.reshape(-1, BATCH).mean(-1)}) == num_batches
    state, metrics = jax.jit(rule.step)(initial(rule, START.values()), jnp.asarray(batch), KEY)
    expected = by_hand(START, batch)
    for x in PLAYERS:
        assert abs(expected[x] - START[x]) > 1e-2
        assert float(state.params[x]) == pytest.approx(expected[x], rel=1e-12)
    if name == "simultaneous":  # each loss is of its player's own batch
        x, y, m = START["disc"], START["gen"], means(batch)[0]
        assert float(metrics["disc_loss"]) == pytest.approx(m["disc"] * x * y + x**2 / 2, rel=1e-12)
        assert float(metrics["gen_loss"]) == pytest.approx(-m["gen"] * x * y + m["gen"] * y**2, rel=1e-12)


def test_optimistic_steps_are_those_by_hand():
    rule = make_rule(mean_game(), "optimistic", RATES.values(), options=turns()._replace(separate=True))
    batch = np.random.default_rng(1).normal(size=(2, 2 * BATCH)) + 1
    state, point, before = initial(rule, START.values()), START, dict.fromkeys(PLAYERS, 0.0)
    for part in batch:
        state, _ = jax.jit(rule.step)(state, jnp.asarray(part), KEY)
        before = gradients(moved(point, before), means(part)[0])
        point = moved(point, before)
    for x in PLAYERS:
        assert float(state.params[x]) == pytest.approx(point[x], rel=1e-12)


def test_players_draw_latents_of_their_own_and_the_first_advances_the_state():
    def losses(params, state, batch, key):
        noise = jax.random.normal(key)
        return {x: params[x] * noise for x in PLAYERS}, Aux(state + noise, {"noise": noise})

    def step(separate):
        rule = make_rule(
            Game(PLAYERS, losses), "simultaneous", (1.0, 1.0), options=turns()._replace(separate=separate)
        )
        start = initial(rule, (0.0, 0.0))._replace(net_state=jnp.zeros([]))
        return jax.jit(rule.step)(start, jnp.zeros(4), KEY)

    shared, _ = step(separate=False)
    assert shared.params["disc"] == shared.params["gen"] == -shared.net_state
    separate, metrics = step(separate=True)
    assert separate.params["disc"] != separate.params["gen"]
    assert -separate.params["disc"] == separate.net_state == metrics["noise"]


@pytest.mark.parametrize(
    ("name", "coefficients"),
    [
        ("simultaneous", {"disc": RATES["disc"] / 2, "gen": RATES["gen"] / 2}),
        ("alternating", {"disc": RATES["disc"] / 2, "gen": RATES["gen"] / 2 - RATES["disc"]}),
    ],
)
def test_diagnostics_are_of_the_players_batches_or_of_the_first(name, coefficients):
    sgd = {x: optimizers.make("sgd", h, {}) for x, h in RATES.items()}
    rule = updates.make(
        name,
        mean_game(),
        sgd,
        updates.Regularizers(updates.Weights.none(PLAYERS), "biased"),
        options=turns()._replace(separate=True),
        diagnostics=("gradient_norms", "interaction", "drift"),
    )
    batch = np.random.default_rng(0).normal(size=2 * BATCH) + 1
    _, metrics = jax.jit(rule.step)(rule.init(START, {}), jnp.asarray(batch), KEY)
    (own,) = means(batch)
    first, at = dict.fromkeys(PLAYERS, own["disc"]), START
    norms = gradients(at, own)
    if name == "alternating":  # the generator's is of what the discriminator has left
        norms["gen"] = gradients(moved(at, {"disc": norms["disc"], "gen": 0.0}), own)["gen"]
    v, dots = gradients(at, first), dot_products(at, first)
    m = first["disc"]
    expected = {
        "disc_interaction": m * at["disc"] * v["gen"],
        "gen_interaction": -m * at["gen"] * v["disc"],
        "disc_drift_self_norm": RATES["disc"] / 2 * abs(v["disc"]),
        "gen_drift_self_norm": RATES["gen"] / 2 * abs(2 * m * v["gen"]),
    }
    for x in PLAYERS:
        expected[f"{x}_gradient_norm"] = abs(norms[x])
        expected[f"{x}_drift_other_dot_prod"] = abs(coefficients[x] * dots[x])
    for metric, value in expected.items():
        assert abs(value) > 1e-3, metric
        assert float(metrics[metric]) == pytest.approx(value, rel=1e-10), metric
