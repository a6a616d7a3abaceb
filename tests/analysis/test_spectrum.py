"""The spectrum of a trained run against dense matrices, its picture, and what has no spectrum."""

import jax
import numpy as np
import pytest
from conftest import on_a_device, refusal, small_config
from small_runs import TINY_CLASSIFIER, save_points, write_run

from analysis import checkpoint_spectrum, spectrum, trained_game
from analysis.__main__ import main
from lib.errors import ConfigError
from lib.games.eigenvalues import dense
from lib.games.operators import game_jacobian, hessian, update_jacobian
from lib.runtime.run_folder import RunFolder

RUNS = {
    "classifier": (*TINY_CLASSIFIER, "classifier.optimizer.kwargs={'momentum': 0.5}"),
    "gan": (
        "gan/ring8_sgd",
        "gan.nets.kwargs.num_layers=1",
        "gan.nets.kwargs.num_units=4",
        "gan.num_latents=2",
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RunFolder]:
    """Saves one small run of each experiment, for the whole module."""
    root = tmp_path_factory.mktemp("runs")
    return {kind: save_points(root / kind, *config, steps=[2]) for kind, config in RUNS.items()}


def assert_near(actual, expected) -> None:
    """Asserts that eigenvalues agree to the tolerance of the pictures."""
    np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("kind", RUNS)
def test_numbers_are_those_of_the_dense_matrices(runs, kind, tmp_path, capsys):
    folder = runs[kind]
    spectrum = checkpoint_spectrum.compute(str(folder.path), k=6)

    programs, batch = trained_game.open_game(folder)
    _, state = folder.restore(programs.abstract_state())
    where = (programs.experiment.game.rule, state, batch, jax.random.key(0))
    game, update = dense(game_jacobian(*where)), dense(update_jacobian(*where))
    mu, eigenvalues = np.linalg.eigvals(game), np.linalg.eigvals(update)
    assert spectrum.sizes == (len(game), len(update))
    assert spectrum.symmetric == (kind == "classifier")
    assert np.abs(mu).max() > 0.01
    assert_near(np.abs(spectrum.largest).max(), (mu.real if spectrum.symmetric else np.abs(mu)).max())
    assert_near(spectrum.smallest.real.min(), mu.real.min())
    assert_near(np.abs(spectrum.update).max(), np.abs(eigenvalues).max())
    assert_near(np.abs(spectrum.moved - 1).max(), np.abs(eigenvalues - 1).max())
    for player, (top, _) in spectrum.hessians.items():
        assert_near(top, np.linalg.eigvalsh(dense(hessian(*where, player))).max())
    if spectrum.symmetric:
        assert spectrum.hessians["model"].rate == pytest.approx(0.2)
    else:
        assert spectrum.hessians.keys() == {"disc", "gen"}

    out = tmp_path / "x.png"
    assert main(["spectrum", f"--config.restore_path={folder.path}", "--k=6", f"--out={out}"]) == 0
    rows = {line[:30].strip(): line[30:].split() for line in capsys.readouterr().out.splitlines()}
    radius = next(cells for name, cells in rows.items() if name.startswith("spectral radius"))
    assert float(radius[0]) == pytest.approx(np.abs(eigenvalues).max(), rel=1e-4)
    assert out.stat().st_size > 10_000


def test_what_has_no_spectrum_is_refused(runs, tmp_path, capsys):
    path = f"--config.restore_path={runs['classifier'].path}"
    for args, message in (
        ([], "name a run"),
        (["--config.seed=1"], "'--config.seed=1'"),
        ([f"--config.restore_path={tmp_path / 'none'}"], "no folder"),
        ([path, "--k=0"], "--k: 0"),
        ([path, "--k=9999"], "use at most"),
        ([path, "--examples=41"], "--examples: 41 does not fit; use 1 .. 40"),
    ):
        assert message in refusal(main, capsys, "spectrum", *args)


@pytest.mark.parametrize(
    ("config", "hint"),
    [("eigengame/digits", ""), ("games/principal_flow", "; plot momentum shows toy games")],
)
def test_a_run_without_one_update_rule_is_refused(tmp_path, capsys, config, hint):
    (tmp_path / "checkpoints").mkdir()
    RunFolder(tmp_path).write_config(small_config(config))
    error = refusal(main, capsys, "spectrum", f"--config.restore_path={tmp_path}")
    experiment = config.split("/")[0]
    assert f"'{experiment}' has not one update rule; name a run of gan or classifier{hint}\n" in error


def test_a_batch_has_the_examples_of_a_step_or_as_many_as_are_named(runs):
    programs, batch = trained_game.open_game(runs["classifier"])
    assert len(jax.tree.leaves(batch)[0]) == 8  # as a training step takes
    programs, batch = trained_game.open_game(runs["classifier"], 10, 4)
    assert len(jax.tree.leaves(batch)[0]) == 40
    assert programs.config.classifier.microbatch == 10


def test_examples_that_are_no_parts_of_a_run_s_are_refused(tmp_path):
    config = small_config(*TINY_CLASSIFIER, "classifier.microbatch=4")
    folder = write_run(tmp_path / "run", config)
    programs, batch = trained_game.open_game(folder)
    assert programs.config.classifier.microbatch == 4
    programs, batch = trained_game.open_game(folder, 7)  # all at once, as they are named
    assert programs.config.classifier.microbatch == 0
    assert len(jax.tree.leaves(batch)[0]) == 7
    gan = write_run(tmp_path / "gan", small_config(*RUNS["gan"], "gan.diagnostics=('drift',)"))
    with pytest.raises(ConfigError, match="--batches: 3 of 4 examples are 12, no multiple of 8; use 4"):
        trained_game.open_game(gan, 4, 3)


def test_a_run_is_opened_without_its_training_set_on_a_device(tmp_path):
    config = small_config(*TINY_CLASSIFIER, "dataset.train_split=train[:997]")
    programs, batch = trained_game.open_game(write_run(tmp_path / "run", config))
    assert len(jax.tree.leaves(batch)[0]) == 8
    images = programs.data.train.image
    assert not on_a_device(images)
    placed = programs.replicate(images)
    assert on_a_device(images) and placed.shape == (997, 8, 8, 1)


def test_all_checkpoints_are_drawn_on_one_scale(tmp_path, capsys):
    folder = save_points(tmp_path / "run", *RUNS["gan"], steps=[1, 2])
    spectra = checkpoint_spectrum.compute_all(str(folder.path), k=4)
    assert [s.name.rpartition(" ")[2] for s in spectra] == ["1", "2"]
    alone = checkpoint_spectrum.compute(str(folder.checkpoints / "1"), k=4)
    assert_near(np.abs(spectra[0].largest), np.abs(alone.largest))
    assert np.abs(np.abs(spectra[1].largest) - np.abs(alone.largest)).max() > 1e-4
    above = spectrum.draw_all(spectra).axes[:2]
    assert above[0].get_xlim() == above[1].get_xlim()
    restore = f"--config.restore_path={folder.path}"
    assert main(["spectrum", restore, "--all", "--k=4", f"--out={tmp_path / 'x.png'}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4  # a head, two checkpoints, the file
    error = refusal(main, capsys, "spectrum", f"{restore}/checkpoints/1", "--all")
    assert "names one step; name the run's folder" in error
