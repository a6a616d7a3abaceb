"""The spectrum of a trained run, and the sharpness along training: numbers against dense ones, pictures, and what is refused."""

import re

import jax
import numpy as np
import pytest
from conftest import refusal, small_config

from analysis import plot, sharpness, spectrum, trained_game
from lib.games.spectrum import dense, game_jacobian, hessian, update_jacobian
from lib.runtime.run_folder import RunFolder

CLASSIFIER = (
    "classifier/digits",
    "dataset.train_split=train[:40]",
    "classifier.model=mlp",
    "classifier.mlp.hidden=(1,)",
    "classifier.mlp.activation=tanh",
    "classifier.optimizer.name=sgd",
    "classifier.optimizer.learning_rate=0.2",
    "classifier.optimizer.kwargs={'momentum': 0.5}",
)
GAN = ("gan/ring8_sgd", "gan.mlp.num_layers=1", "gan.mlp.num_units=4", "gan.num_latents=2")


@pytest.fixture
def train(make):
    """Trains a small run of two steps; returns its folder."""

    def go(*config: str) -> str:
        trainer = make(*config, "num_steps=2")
        trainer.train(trainer.programs.init(), 0)
        trainer.folder.write_config(small_config(config[0], *config[1:], "num_steps=2"))
        return str(trainer.folder.path)

    return go


@pytest.mark.parametrize("config", [CLASSIFIER, GAN], ids=["classifier", "gan"])
def test_numbers_are_those_of_the_dense_matrices(train, config, tmp_path, capsys):
    path = train(*config)
    found = spectrum.of_run(path, k=6)

    programs = trained_game.open_run(RunFolder(path))
    _, state = RunFolder(path).restore(programs.abstract_state())
    where = (
        programs.experiment.game.rule,
        state,
        trained_game.first_examples(programs, None),
        jax.random.key(0),
    )
    game, update = dense(game_jacobian(*where)), dense(update_jacobian(*where))
    mu, eigenvalues = np.linalg.eigvals(game), np.linalg.eigvals(update)
    assert found.sizes == (len(game), len(update))
    assert found.symmetric == (config is CLASSIFIER)
    assert np.abs(mu).max() > 0.01
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)
    close(np.abs(found.largest).max(), (mu.real if found.symmetric else np.abs(mu)).max())
    close(found.smallest.real.min(), mu.real.min())
    close(np.abs(found.update).max(), np.abs(eigenvalues).max())
    close(np.abs(found.moved - 1).max(), np.abs(eigenvalues - 1).max())
    for player, (top, _) in found.hessians.items():
        assert top == pytest.approx(
            np.linalg.eigvalsh(dense(hessian(*where, player))).max(), rel=2e-3, abs=1e-5
        )
    if found.symmetric:
        assert found.hessians["model"].rate == pytest.approx(0.2)
    else:
        assert found.hessians.keys() == {"disc", "gen"}

    assert (
        plot.main(["spectrum", f"--config.restore_path={path}", "--k=6", f"--out={tmp_path / 'x.png'}"])
        == 0
    )
    rows = {line[:30].strip(): line[30:].split() for line in capsys.readouterr().out.splitlines()}
    radius = next(cells for name, cells in rows.items() if name.startswith("spectral radius"))
    assert float(radius[0]) == pytest.approx(np.abs(eigenvalues).max(), rel=1e-4)
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_what_has_no_spectrum_is_refused(train, make, tmp_path, capsys):
    refused = lambda *args: refusal(plot.main, capsys, "spectrum", *args)
    assert "name a run" in refused()
    assert "'--config.seed=1'" in refused("--config.seed=1")
    assert "no folder" in refused(f"--config.restore_path={tmp_path / 'none'}")
    path = f"--config.restore_path={train(*CLASSIFIER)}"
    assert "--k: 0" in refused(path, "--k=0")
    assert "use at most" in refused(path, "--k=9999")
    assert "--examples: 41 does not fit; use 1 .. 40" in refused(path, "--examples=41")


def test_a_run_of_one_checkpoint_has_no_sharpness_along_training(train, capsys):
    path = train(*CLASSIFIER)
    assert "larger config.keep_checkpoints" in refusal(plot.main, capsys, "sharpness", path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "eigengame/digits",
            "a run of 'eigengame' has not one update rule; name a run of gan or classifier",
        ),
        ("games/principal_flow", "'games' has not one update rule; .*plot momentum shows toy games"),
    ],
)
def test_a_run_without_one_update_rule_is_refused(tmp_path, capsys, config, message):
    (tmp_path / "checkpoints").mkdir()
    RunFolder(tmp_path).write_config(small_config(config))
    refused = refusal(plot.main, capsys, "spectrum", f"--config.restore_path={tmp_path}")
    assert re.search(message, refused)


def test_sharpness_of_every_checkpoint_is_that_of_the_dense_hessian(train, tmp_path, capsys):
    path = train(*CLASSIFIER, "checkpoint_every=1")
    (curve,) = sharpness.of_runs([path])
    (records,) = curve.records
    programs = trained_game.open_run(RunFolder(path))
    batch = trained_game.first_examples(programs, None)
    for step in (1, 2):
        _, state = RunFolder(path).restore(programs.abstract_state(), step)
        matrix = dense(game_jacobian(programs.experiment.game.rule, state, batch, jax.random.key(0)))
        found = records[records["step"] == step]["sharpness"].dropna()
        assert found.item() > 0.1
        assert found.item() == pytest.approx(np.linalg.eigvalsh(matrix).max(), rel=1e-3)
    np.testing.assert_allclose(records["bound"].dropna(), 2 / 0.2, rtol=1e-6)
    assert plot.main(["sharpness", path, f"--out={tmp_path / 'x.png'}"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split()[-1] == "0"  # checkpoints above 2/h
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_what_has_no_sharpness_along_training_is_refused(train, capsys):
    refused = lambda *args: refusal(plot.main, capsys, "sharpness", *args)
    assert "name the runs' folders first" in refused()
    assert "has the players disc, gen" in refused(train(*GAN))
