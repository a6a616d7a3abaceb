"""Toy games as experiments: trajectories, rates and flows against closed forms; what is refused."""

import jax
import numpy as np
import pytest
from conftest import small_config

from experiments import registry
from experiments.games import flows, pictures, rates
from experiments.games.config import GamesSection
from experiments.games.experiment import state_at_starts, step_all, walk
from lib.errors import ConfigError
from lib.games.flows import FlowError

SQUARED_RADII = {  # {method of configs/games/bilinear.py: squared factor per step at its rate, 0.3}
    "simultaneous": 1 + 0.3**2,
    "alternating": 1.0,
    "consensus": (1 - 0.15) ** 2 + 0.3**2,
    "extragradient": 1 - 0.3**2 + 0.3**4,
    "runge_kutta_4": 1 - 0.3**6 / 72 + 0.3**8 / 576,
}


def section(name: str, *overrides: str) -> GamesSection:
    """Returns the section of configs/games/<name>.py."""
    return registry.validated(small_config(f"games/{name}", *overrides)).games


def trajectories(section: GamesSection, steps: int, *labels: str) -> dict[str, np.ndarray]:
    """Computes the trajectories of the methods that are named, or of all."""
    toy = section.as_toy()
    rules = {x: rates.make_rule(toy, section.methods[x], x) for x in labels or section.methods}

    def move(state):
        return step_all(toy, rules, section.limit, state)

    return walk(toy, move, state_at_starts(toy, rules, section.starts), steps)


@pytest.fixture(scope="module")
def bilinear():
    """Computes (section, {method: trajectory of 200 steps})."""
    game = section("bilinear")
    return game, trajectories(game, 200, *SQUARED_RADII)


def test_a_run_writes_its_trajectories_and_pictures(make):
    trainer = make("games/rotational")
    trainer.train(trainer.programs.init(), 0)
    _, state = trainer.folder.restore(trainer.programs.abstract_state())
    for label, params in state.params.items():
        path = np.load(trainer.folder.path / f"trajectory_{label}.npy")
        assert path.shape == (5, 1, 2)
        end = np.concatenate([params["disc"], params["gen"]], 1)
        np.testing.assert_allclose(path[-1], end, rtol=1e-6)
        assert np.abs(end - path[0]).max() > 0.1
    names = {p.name for p in trainer.folder.figures.iterdir()}
    assert {"trajectories.png", "convergence.png"} < names
    record = (trainer.folder.metrics / "train.jsonl").read_text().splitlines()[-1]
    assert '"distance/alternating"' in record


def test_simultaneous_steps_leave_the_bilinear_equilibrium_by_the_known_factor(bilinear):
    points = bilinear[1]["simultaneous"][:51, 0]
    assert points.dtype == np.float32
    expected = np.linalg.norm(points[0]) * (1 + 0.3**2) ** (np.arange(51) / 2)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), expected, rtol=1e-5)


def test_what_runs_away_is_stopped():
    game = section("bilinear", "games.limit=10.0")
    stopped = trajectories(game, 300, "simultaneous")["simultaneous"][:, 0]
    assert 9 < np.linalg.norm(stopped[-1]) < 10
    np.testing.assert_array_equal(stopped[-1], stopped[-2])


@pytest.mark.parametrize("method", SQUARED_RADII)
def test_rates_of_theory_and_of_trajectories_are_the_table_s(bilinear, method):
    game, paths = bilinear
    radius = rates.spectral_radius(game, method, np.zeros(2))
    assert not jax.config.jax_enable_x64  # precision is the caller's
    assert radius**2 == pytest.approx(SQUARED_RADII[method], abs=1e-9)
    distances = pictures.distances(game.as_toy(), paths[method])[:, 0]
    assert rates.measured(distances, game.limit) == pytest.approx(radius, abs=2e-4)


def test_a_measured_rate_is_of_what_can_be_trusted():
    falling = 0.9 ** np.arange(300.0)
    assert rates.measured(np.maximum(falling, 3e-7), 1e6) == pytest.approx(0.9, rel=1e-12)
    transient = falling * (1 + 100 * 0.5 ** np.arange(300.0))
    assert rates.measured(transient, 1e6) == pytest.approx(0.9, rel=1e-6)
    rising = np.minimum(1.5 ** np.arange(100.0), 1e6)
    assert rates.measured(rising, 1e6) == pytest.approx(1.5, rel=1e-12)
    assert np.isnan(rates.measured(np.array([1.0, 1e-9, 1e-9, 1e-9]), 1e6))


def test_there_is_no_linear_theory_of_rates_that_adapt():
    assert np.isnan(rates.spectral_radius(section("banana"), "adam", np.ones(2)))
    assert rates.spectral_radius(section("banana"), "sgd", np.ones(2)) < 1


def test_the_modified_flow_is_nearer_to_the_steps_than_the_original():
    spiral = section("rotational")
    steps = trajectories(spiral, 100, "simultaneous")["simultaneous"][:, 0]
    original, modified = (
        flows.positions(spiral, name, spiral.starts[0], 100) for name in ("original", "modified_shared")
    )
    apart = [np.linalg.norm(path - steps, axis=1).max() for path in (original, modified)]
    assert apart[1] < 0.4 < 1 < apart[0]  # O(h^2) of phase remains
    # For this damping and rate it diverges, as the steps do.
    assert np.linalg.norm(original[-1]) < 0.2
    assert np.linalg.norm(modified[-1]) > 1


def test_the_principal_flow_of_the_config_passes_through_its_steps():
    quadratic = section("principal_flow")
    steps = trajectories(quadratic, 30)["sgd"][:, 0]
    path = flows.positions(quadratic, "principal_flow", quadratic.starts[0], 30)
    np.testing.assert_allclose(path, steps, atol=1e-6)
    assert np.abs(np.diff(np.sign(steps[:20, 0]))).min() == 2  # they jump over the minimum


@pytest.mark.parametrize("name", ["double_well", "rotational", "quadratic", "principal_flow"])
def test_pictures_show_every_method_and_flow(monkeypatch, name):
    """Draws games of one number, of two with a field, of more without one, and of one method."""
    shown = section(name)
    radii = {label: 0.5 + i / 10 for i, label in enumerate(shown.methods)}
    monkeypatch.setattr(rates, "spectral_radius", lambda section, label, equilibrium: radii[label])
    paths = {label: np.array(shown.starts)[None] * 0.9 ** np.arange(11)[:, None, None] for label in radii}
    drawn = pictures.draw(shown, paths)
    panels = drawn["trajectories"].axes
    assert [axis.get_title() for axis in panels] == list(shown.methods)
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in panels)
    legend = {text.get_text() for text in drawn["trajectories"].legends[0].get_texts()}
    assert {flow.replace("_", " ") for flow in shown.flows} | {"steps", "equilibrium"} <= legend
    left, right = drawn["convergence"].axes
    assert len(left.lines) == len(shown.methods)
    assert [text.get_text() for text in right.get_yticklabels()] == list(shown.methods)
    numbers = [text.get_text() for text in right.texts]
    assert all(f"({radius:.5f})" in number for radius, number in zip(radii.values(), numbers, strict=True))


def test_a_flow_that_ends_early_is_named_in_the_picture(monkeypatch):
    """Draws a double well, where the principal flow of large steps meets a singular place."""
    monkeypatch.setattr("lib.games.flows.integration._MAX_EVALUATIONS", 500)
    shown = section(
        "double_well",
        "games.flows=('gradient_flow', 'principal_flow')",
        "games.flows_of=sgd",
        "games.methods.sgd.optimizers.model.learning_rate=1.0",
    )
    with pytest.raises(FlowError):
        flows.positions(shown, "principal_flow", shown.starts[0], 2)
    paths = {"sgd": np.stack([np.array(shown.starts)] * 3)}
    legend = pictures.trajectories(shown, shown.as_toy(), paths).legends[0]
    names = {text.get_text() for text in legend.get_texts()}
    assert "gradient flow" in names
    assert any(name.startswith("principal flow (ends early: ") for name in names)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("bilinear", ["games.game=bilinar"], r"config\.games\.game: .*did you mean 'bilinear'"),
        ("bilinear", ["games.kwargs.x=1.0"], r"config\.games\.kwargs\.x: "),
        ("bilinear", ["games.starts=((1.0,),)"], r"config\.games\.starts: 0: .* 1 numbers; .* have 2"),
        ("bilinear", ["games.starts=()"], r"config\.games\.starts: empty"),
        ("bilinear", ["games.limit=0.0"], r"config\.games\.limit: "),
        (
            "bilinear",
            ["games.limit=0.5"],
            r"config\.games\.starts: 0: .*not within limit, 0\.5",
        ),
        (
            "bilinear",
            ["dataset.name=digits"],
            r"config\.dataset\.name: games read no data; set it to 'none'",
        ),
        (
            "bilinear",
            ["games.game=banana"],
            r"config\.games\.methods\.alternating\.optimizers\.disc: no such",
        ),
        (
            "bilinear",
            ["games.methods.alternating.optimizers.gen.name=adm"],
            r"config\.games\.methods\.alternating\.optimizers\.gen\.name: .*did you mean 'adam'",
        ),
        (
            "bilinear",
            ["games.methods.simultaneous.first_player=gen"],
            r"config\.games\.methods\.simultaneous\.first_player: .*alternating",
        ),
        (
            "bilinear",
            ["games.methods.simultaneous.num_updates.gen=2"],
            r"config\.games\.methods\.simultaneous\.num_updates\.gen: .*set it to 1",
        ),
        (
            "bilinear",
            ["games.methods.consensus.sga.wight=1.0"],
            r"config\.games\.methods\.consensus\.sga\.wight: unknown field; did you mean 'weight'",
        ),
        ("rotational", ["games.flows=('igr',)"], r"config\.games\.flows: unknown name 'igr'"),
        (
            "quadratic",
            ["games.kwargs.disc=((1.0, 1e400), (0.0, 1.0))"],
            r"config\.games\.kwargs\.disc: .* finite",
        ),
        ("rotational", ["games.flows=()"], r"config\.games\.flows_of: 'simultaneous' has no flows to draw"),
        ("rotational", ["games.flows_of=simultanous"], r"config\.games\.flows_of: .*'simultaneous'"),
        (
            "rotational",
            ["games.flows_of=interaction_cancelled"],
            r"config\.games\.flows_of: no flow is known",
        ),
    ],
)
def test_bad_configs_are_one_line(name, overrides, message):
    with pytest.raises(ConfigError, match=message) as refused:
        config = registry.validated(small_config(f"games/{name}", *overrides))
        registry.build(config, None)
    assert "\n" not in str(refused.value)


def test_a_label_must_be_a_name():
    config = small_config("games/bilinear")
    config.games.methods["a b"] = config.games.methods.simultaneous
    with pytest.raises(ConfigError, match=r"config\.games\.methods: 'a b' names files"):
        registry.validated(config)
