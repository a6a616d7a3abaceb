"""Canonical correlations: views, metrics against dense matrices, results, devices, refusals."""

import json

import jax
import numpy as np
import pytest
import scipy.linalg
from conftest import refusal

from experiments import main
from experiments.cca import experiment
from experiments.cca.correlations import captured
from experiments.cca.experiment import split_features
from lib.data import gaussian, load, sources
from lib.data.pipeline import to_rows
from lib.runtime import results

P, EPSILON = 32, 0.01
BASE = ("batch_size=100", "cca.epsilon=0.01", "log_every=1000", "checkpoint_every=1000")


def matrices(mean, split="train"):
    """Computes A and B of the digits' halves in the order of their pixels, float64."""
    rows = np.asarray(to_rows(load("digits", split).image), np.float64) - mean
    left = np.tile(np.arange(8) < 4, 8)
    c = rows.T @ rows / len(rows)
    within = left[:, None] == left
    return np.where(within, 0, c), np.where(within, c, 0) + EPSILON * np.eye(64)


def test_halves_of_images_and_columns_of_matrices():
    order, p = split_features((2, 3, 1), 0)
    assert (order.tolist(), p) == ([0, 3, 1, 2, 4, 5], 2)
    order, p = split_features((2, 3, 2), 2)
    assert (order.tolist(), p) == ([0, 1, 2, 3, 6, 7, 8, 9, 4, 5, 10, 11], 8)
    order, p = split_features((5,), 3)
    assert (order.tolist(), p) == ([0, 1, 2, 3, 4], 3)


def test_captured_correlations_are_those_between_the_spans():
    """Takes combined variates, also with one twice: singular values of the orthonormalised ones."""
    generator = np.random.default_rng(0)
    s, t = generator.standard_normal((2, 50, 3))
    t += s
    orthonormal = [np.linalg.qr(x)[0] for x in (s, t)]
    expected = np.linalg.svd(orthonormal[0].T @ orthonormal[1], compute_uv=False).sum()
    assert 0.5 < expected < 2.9
    mixed = t @ generator.standard_normal((3, 3))
    for x, y in ((s, t), (s, mixed), (np.hstack([s, s[:, :1]]), np.hstack([mixed, t[:, :1]]))):
        assert captured({"cross": x.T @ y, "first": x.T @ x, "second": y.T @ y}) == pytest.approx(expected)


@pytest.fixture
def train(make, monkeypatch):
    """Returns a function that trains on digits, without curves: (the folder, its last line of metrics)."""
    monkeypatch.setattr(results, "_draw_curves", lambda *args: None)

    def run(*overrides, **kwargs):
        trainer = make("cca/digits", *BASE, *overrides, **kwargs)
        trainer.train(trainer.programs.init(), 0)
        lines = (trainer.folder.path / "metrics" / "eval.jsonl").read_text().splitlines()
        return trainer.folder.path, json.loads(lines[-1])

    return run


@pytest.mark.parametrize("split", ("train", "test"))
def test_results_are_those_of_dense_matrices(split, train):
    """Takes also a split whose last batch is padded, and which is not the one that was trained on."""
    folder, metrics = train("num_steps=40", "eval_every=40", "batch_size=64", f"dataset.eval_split={split}")
    vectors, values, mean = (np.load(folder / f"{n}.npy") for n in ("eigenvectors", "eigenvalues", "mean"))
    a, b = matrices(mean, split)
    norm = np.einsum("kd,kd->k", vectors, vectors @ b)
    np.testing.assert_allclose(norm, 1, rtol=1e-5)
    np.testing.assert_allclose(values, np.einsum("kd,kd->k", vectors, vectors @ a), rtol=1e-4)
    np.testing.assert_allclose([metrics[f"eigenvalue/{i + 1:02}"] for i in range(8)], values, rtol=1e-4)
    left = np.tile(np.arange(8) < 4, 8)
    w, z = vectors * left, vectors * ~left
    grams = {"cross": w @ a @ z.T, "first": w @ b @ w.T, "second": z @ b @ z.T}
    assert 0.5 < metrics["total"] == pytest.approx(captured(grams), rel=1e-4)
    a, b = matrices(mean, "train")
    exact, eigenvectors = (x[..., ::-1][..., :8] for x in scipy.linalg.eigh(a, b))
    root = np.linalg.cholesky(b)
    cosine = np.einsum("kd,dk->k", vectors @ b, eigenvectors) / np.sqrt(
        np.einsum("kd,kd->k", vectors, vectors @ b)
    )
    expected = np.arccos(np.abs(cosine))
    np.testing.assert_allclose(
        [metrics[f"angle/{i + 1:02}"] for i in range(8)], expected, rtol=1e-3, atol=1e-3
    )
    angles = scipy.linalg.subspace_angles(root.T @ vectors.T, root.T @ eigenvectors)
    assert 0.001 < metrics["subspace_distance"] == pytest.approx(np.mean(np.sin(angles) ** 2), abs=1e-5)
    if split == "train":
        assert metrics["captured"] == pytest.approx(metrics["total"] / exact.sum(), rel=1e-5)
        assert metrics["eigenvalue_error"] == pytest.approx(np.abs(values / exact - 1).max(), rel=1e-3)
    else:
        assert "captured" not in metrics and "eigenvalue_error" not in metrics


def test_digits_have_eight_correlations(train):
    """Makes an eighth of the config's steps, without its schedule: enough for the first four."""
    _, metrics = train("num_steps=1000", "batch_size=128", "eval_every=1000")
    assert metrics["streak"] >= 4
    assert metrics["captured"] > 0.99


def test_results_of_mlr_are_those_of_dense_matrices(train):
    folder, metrics = train("cca.problem=mlr", "num_steps=40", "eval_every=40", "batch_size=64")
    vectors, values, mean = (np.load(folder / f"{n}.npy") for n in ("eigenvectors", "eigenvalues", "mean"))
    a, b = matrices(mean)
    right = ~np.tile(np.arange(8) < 4, 8)
    b[right] = b[:, right] = 0
    b[right, right] = 1
    np.testing.assert_allclose(np.einsum("kd,kd->k", vectors, vectors @ b), 1, rtol=1e-5)
    np.testing.assert_allclose(values, np.einsum("kd,kd->k", vectors, vectors @ a), rtol=1e-4)
    exact = scipy.linalg.eigvalsh(a, b)[::-1][:8]
    assert metrics["eigenvalue_error"] == pytest.approx(np.abs(values / exact - 1).max(), rel=1e-3)


def test_the_biased_estimator_moves_otherwise(train):
    chosen = ("num_steps=4", "eval_every=4", "batch_size=16")
    one, other = (
        np.load(train(*chosen, f"cca.estimator={name}", workdir=name)[0] / "eigenvectors.npy")
        for name in ("unbiased", "biased")
    )
    assert np.abs(one - other).max() > 1e-2


def test_players_without_order_find_the_span_of_the_leading_pairs(train):
    folder, metrics = train(
        "cca.rule=eckart_young",
        "cca.optimizer.learning_rate=1.0",
        "cca.optimizer.schedule.kwargs.decay_steps=2000",
        "num_steps=2000",
        "eval_every=2000",
        "batch_size=128",
        "cca.k=4",
        num_devices=1,
    )
    assert not any(name.startswith(("angle", "streak")) for name in metrics)
    assert metrics["subspace_distance"] < 0.01
    assert metrics["captured"] > 0.999
    vectors, values, mean = (np.load(folder / f"{n}.npy") for n in ("eigenvectors", "eigenvalues", "mean"))
    a, b = matrices(mean)
    np.testing.assert_allclose(vectors @ b @ vectors.T, np.eye(4), atol=1e-3)
    np.testing.assert_allclose(vectors @ a @ vectors.T, np.diag(values), atol=1e-3)


def test_pictures_are_of_the_eigenvectors_in_their_order(train, monkeypatch):
    """Takes players without order, whose vectors are not the eigenvectors."""
    drawn = []
    monkeypatch.setattr(experiment, "rows_as_images", lambda rows, shape: drawn.append(np.asarray(rows)))
    monkeypatch.setattr(experiment, "Images", lambda images: experiment.Array(np.zeros(1)))
    steps = [f"{field}=400" for field in ("num_steps", "eval_every", "checkpoint_every")]
    chosen = ("cca.rule=eckart_young", "cca.k=4", "cca.optimizer.learning_rate=1.0", "batch_size=128")
    folder, _ = train(*steps, *chosen, num_devices=1)
    vectors, mean = (np.load(folder / f"{name}.npy") for name in ("eigenvectors", "mean"))
    _, b = matrices(mean)
    cosines = np.sum(unit(drawn[-1]) * unit(vectors @ b), 1)
    assert cosines.min() > 0.9  # running means are not whole means


def trained(make, monkeypatch, *overrides):
    """Trains on one device, where steps need not wait for one another; returns the folder."""
    monkeypatch.setattr(results, "_draw_curves", lambda *args: None)
    steps = [f"{field}=2000" for field in ("num_steps", "eval_every", "log_every", "checkpoint_every")]
    schedule = "cca.optimizer.schedule.kwargs.decay_steps=2000"
    trainer = make(*overrides, *steps, schedule, num_devices=1)
    trainer.train(trainer.programs.init(), 0)
    return trainer.folder.path


def test_the_inverse_of_a_covariance_is_found(make, monkeypatch):
    folder = trained(make, monkeypatch, "cca/inverse", "batch_size=512")
    normal = gaussian.make("linear_spectrum", gaussian.Arguments(d=16, largest=4.0, smallest=1.0))
    expected = normal.eigenvectors.T / normal.eigenvalues @ normal.eigenvectors
    assert np.linalg.norm(np.load(folder / "inverse.npy") - expected) < 0.05 * np.linalg.norm(expected)


@pytest.mark.parametrize("maximize", (True, False))
def test_independent_components_unmix(make, monkeypatch, maximize):
    """Expects rows of M^-1, those of the Laplace sources or of the uniform ones."""
    chosen = slice(4) if maximize else slice(4, 8)
    folder = trained(make, monkeypatch, "cca/ica", "batch_size=1024", f"cca.maximize={maximize}")
    mixing = sources.mixing(sources.Arguments())
    unmixing, vectors = np.linalg.inv(mixing)[chosen], np.load(folder / "eigenvectors.npy")
    assert np.diag(np.abs(unit(vectors) @ unit(unmixing).T)).min() > 0.99
    expected = (3.0 if maximize else 1.2) * (mixing**2).sum(0)[chosen]
    np.testing.assert_allclose(np.load(folder / "eigenvalues.npy"), expected, rtol=0.15)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_pls_runs_on_its_first_columns(train):
    folder, metrics = train("cca.problem=pls", "cca.epsilon=0.0", "cca.split=3", "cca.k=4")
    assert np.load(folder / "eigenvectors.npy").shape == (4, 64)
    np.testing.assert_allclose(np.linalg.norm(np.load(folder / "eigenvectors.npy"), axis=1), 1, rtol=1e-5)
    assert 0 < metrics["captured"] <= 1


def test_one_device_is_two(train):
    one, two = (train(num_devices=n, workdir=str(n))[0] / "eigenvectors.npy" for n in (1, 2))
    np.testing.assert_allclose(np.load(one), np.load(two), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "overrides, field, part",
    [
        (["cca.k=33"], "cca.k", "33 vectors of views of 32 and 32 features; use at most 32"),
        (["cca.split=7", "cca.k=9"], "cca.k", "use at most 8"),
        (["cca.split=8"], "cca.split", "8 of 8 columns leave none for the second view; use at most 7"),
        (["cca.epsilon=0.0"], "cca.epsilon", "constant features"),
        (["cca.problem=pls"], "cca.epsilon", "0.0"),
        (["cca.problem=ccc"], "cca.problem", "unknown name 'ccc'"),
        (["cca.problem=ica", "cca.split=3"], "cca.split", "'ica' has no second view; set it to 0"),
        (["cca.problem=inverse", "cca.k=66"], "cca.k", "66 vectors of 64 features; use at most 64"),
        (["cca.problem=inverse", "cca.maximize=False"], "cca.maximize", "set it to True"),
        (["cca.problem=inverse", "cca.epsilon=0.0"], "cca.epsilon", "the covariance is singular"),
        (["cca.problem=ica", "cca.epsilon=0.0", "batch_size=8"], "cca.epsilon", "use a number above 0"),
        (["cca.problem=ica", "batch_size=10"], "batch_size", "10 rows make no four equal quarters"),
        (["cca.gamma=0.0"], "cca.gamma", "0"),
        (["cca.gamma=1.5"], "cca.gamma", "1.5"),
        (
            ["batch_size=9"],
            "batch_size",
            "9 rows make no two equal halves on each of the 2 devices; use 12",
        ),
        (["cca.k=7"], "cca.k", "use 6"),
    ],
)
def test_contradictions_are_one_line(overrides, field, part, tmp_path, capsys):
    assert len(jax.devices()) == 2
    arguments = [f"--config.{override}" for override in overrides]
    config = f"--config={main.__file__.replace('experiments/main.py', 'configs/cca/digits.py')}"
    line = refusal(main.main, capsys, config, f"--workdir={tmp_path}", *arguments)
    assert line.startswith(f"error: config.{field}: ")
    assert part in line
