"""Activations of a classifier as a matrix: against its layers, as data of EigenGame, and refusals."""

import json

import jax
import numpy as np
import pytest
from conftest import ROOT, refusal
from small_runs import train_run

from eval.main import main
from experiments import registry
from experiments.main import main as train
from lib.data import load
from lib.data.pipeline import to_signed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "classifier"
    return train_run(path, "classifier/digits", "classifier.model.kwargs.hidden=6")


def activations(folder, split):
    programs = registry.open_run(folder, use_devices=jax.local_devices()[:1])
    _, state = folder.restore(programs.abstract_state())
    images = to_signed(jax.numpy.asarray(load("digits", split).image))
    return np.asarray(programs.experiment.outputs["logits"](state, images)[1])


def test_rows_are_the_activations_of_a_split_in_its_order(folder, tmp_path, capsys):
    for split in ("train", "test"):
        file = tmp_path / "new" / f"{split}.npy"
        asked = [f"--activations={file}", *([f"--split={split}"] if split == "test" else [])]
        assert main([f"--config.restore_path={folder.path}", *asked]) == 0
        rows, expected = np.load(file), activations(folder, split)
        assert rows.dtype == np.float32 and expected.std() > 0.01
        np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    assert "rows of 6 activations" in capsys.readouterr().out


def test_eigengame_takes_them(folder, tmp_path):
    file = tmp_path / "rows.npy"
    main([f"--config.restore_path={folder.path}", f"--activations={file}"])
    rows = activations(folder, "train").astype(float)
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    arguments = {
        "dataset.name": file,
        "eigengame.k": 2,
        "eigengame.optimizer.learning_rate": 0.02 / values[-1],
        "num_steps": 2000,
        "eval_every": 2000,
        "checkpoint_every": 2000,
    }
    config = [f"--config={ROOT}/configs/eigengame/digits.py", f"--workdir={tmp_path / 'pca'}"]
    assert train([*config, *(f"--config.{field}={value}" for field, value in arguments.items())]) == 0
    found = np.load(tmp_path / "pca" / "eigenvectors.npy")
    np.testing.assert_allclose(np.abs(found[0] @ vectors[:, -1]), 1, atol=1e-3)
    last = json.loads((tmp_path / "pca/metrics/eval.jsonl").read_text().splitlines()[-1])
    assert last["eigenvalue/01"] == pytest.approx(values[-1], rel=0.01)


def test_bad_input_is_one_line(folder, capsys, tmp_path):
    gan = train_run(tmp_path / "gan", "gan/ring8", "gan.nets.kwargs.num_units=2")
    run = f"--config.restore_path={folder.path}"
    for arguments, text in (
        ([run, "--activations=x.csv"], "--activations: 'x.csv' must end in .npy"),
        ([run, "--activations=x.npy", "--follow"], "leave out all else"),
        ([run, "--split=test"], "--split: is that of the activations"),
        ([run, f"--activations={tmp_path}/x.npy", "--split=tset"], "tset"),
        ([run, f"--activations={folder.config}/x.npy"], "cannot write"),
        ([f"--config.restore_path={gan.path}", f"--activations={tmp_path}/x.npy"], "has no logits"),
        ([f"--config.restore_path={tmp_path}/none", "--activations=x.npy"], "none"),
    ):
        assert text in refusal(main, capsys, *arguments)
