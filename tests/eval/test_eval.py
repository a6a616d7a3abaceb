"""The evaluator on a short run of digits."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from eval import sampling, scores
from lib.data import load

SHORT = ["--config.num_steps=20", "--config.checkpoint_every=10", "--config.eval_every=0"]


def run(env, module, *args):
    return subprocess.run(
        [sys.executable, "-m", module, *args],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("eval") / "run"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = run(env, "experiments.main", *SHORT, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


def test_scores_floor_and_ceiling_from_the_run_s_own_config(trained, program_env):
    paths = [trained, trained / "checkpoints", trained / "checkpoints" / "10"]
    few = "--config.eval.num_samples=200"
    tables = []
    for path in paths[::2]:
        done = run(program_env, "eval.main", f"--config.restore_path={path}", few)
        assert done.returncode == 0, done.stderr
        tables.append(done.stdout)
    assert "evaluating step 20" in tables[0]
    assert "evaluating step 10" in tables[1]
    records = [json.loads(line) for line in (trained / "metrics/eval.jsonl").open()]
    assert [r["step"] for r in records] == [20, 10]
    assert {"digits_cnn_score", "digits_cnn_frechet", "num_samples", "network_checksum"} <= records[
        0
    ].keys()
    assert not {"FID", "IS"} & records[0].keys()
    assert records[0]["num_samples"] == 200

    rows = {}
    for line in tables[0].splitlines():
        cells = line.rsplit(maxsplit=4)
        if len(cells) == 5 and cells[0].strip() in ("samples", "real (train)", "noise"):
            rows[cells[0].strip()] = [float(c.replace(",", "")) for c in cells[1:]]
    floor, ceiling = rows["real (train)"], rows["noise"]
    assert floor[0] > ceiling[0]  # classifier score: higher is better
    assert 0 < floor[1] < rows["samples"][1]
    assert floor[1] * 10 < ceiling[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--config.restore_path={run}/checkpoints/15"], "config.restore_path: no folder"),
        (["--config.restore_path={run}/metrics"], "is not of a run"),
        (
            ["--config.restore_path={run}", "--config.gan.num_latents=3"],
            "config.gan.num_latents: 3 here, 32",
        ),
        (
            ["--config.restore_path={run}", "--config=configs/gan/mnist_sgd.py"],
            "config.dataset.name: 'mnist'",
        ),
        (["--config.restore_path={run}", "--config.eval.network=vgg"], "config.eval.network: unknown name"),
        (["--config.restore_path={run}", "--config.eval.classifier=x"], "known: classifier/cifar10"),
        (["--config=configs/gan/cifar10_adam.py"], "train one with ./run.sh train"),
    ],
)
def test_bad_input(trained, program_env, args, message):
    done = run(program_env, "eval.main", *[a.format(run=trained) for a in args])
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_frechet_distance_is_the_closed_form_of_two_gaussians():
    """Samples with exact moments: m = 0, S = I against m = 2 e_1, S = diag(9, 1, ..)."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(400, 5))
    white = np.linalg.qr(raw - raw.mean(0))[0] * np.sqrt(399)
    other = white * [3, 1, 1, 1, 1] + [2, 0, 0, 0, 0]
    assert scores.frechet_distance(white, other) == pytest.approx(2**2 + (3 - 1) ** 2, rel=1e-6)
    assert scores.frechet_distance(white, white) == pytest.approx(0, abs=1e-6)


def test_classifier_score_against_its_definition():
    logits = np.random.default_rng(1).normal(size=(50, 4)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    kl = (p * np.log(p / p.mean(0))).sum(1)
    assert scores.classifier_score(logits.astype(np.float32)) == pytest.approx(np.exp(kl.mean()), rel=1e-5)
    assert np.exp(kl.mean()) > 1.5


def test_samples_do_not_depend_on_batches_beyond_their_size(make):
    runner = make("gan/digits")
    state = runner.init()
    draw = lambda n: np.concatenate(list(sampling.generated(runner.experiment, state, n, 10, seed=0)))
    many, few = draw(35), draw(15)
    assert many.shape == (35, 8, 8, 1)
    assert np.abs(many).max() <= 1
    assert many.std() > 0
    np.testing.assert_array_equal(many[:15], few)
    assert np.abs(many[:10] - many[10:20]).max() > 1e-3


def test_real_images_are_the_whole_set_once():
    held_out = load("digits", "test")
    images = np.concatenate(list(sampling.real(held_out, 10**6, 50, seed=0)))
    assert images.shape == (297, 8, 8, 1)
    whole = held_out.image.astype(np.float32) * (2 / 255) - 1
    np.testing.assert_allclose(np.sort(images.sum((1, 2, 3))), np.sort(whole.sum((1, 2, 3))), rtol=1e-5)
