"""The evaluator on a short run of digits."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, small_config

from eval import follow, sampling
from eval.evaluation import Evaluator
from eval.follow import Follower
from lib import checkpoints
from lib.config import ConfigError, save_json
from lib.data import load
from lib.workdir import Workdir

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
    few = ["--config.eval.num_samples=400", "--config.eval.num_splits=2"]
    tables = []
    for path in paths[::2]:
        done = run(program_env, "eval.main", f"--config.restore_path={path}", *few)
        assert done.returncode == 0, done.stderr
        tables.append(done.stdout)
    assert "step 20 of" in tables[0]
    assert "step 10 of" in tables[1]
    records = [json.loads(line) for line in (trained / "metrics/eval.jsonl").open()]
    assert [r["step"] for r in records] == [20, 10]
    conditions = {
        "network",
        "network_checksum",
        "resize",
        "per_split",
        "splits",
        "num_reference",
        "classes",
    }
    assert {"digits_cnn_score", "digits_cnn_frechet", "digits_cnn_kernel_std", *conditions} <= records[
        0
    ].keys()
    assert not {"FID", "IS", "KID"} & records[0].keys()
    assert (records[0]["per_split"], records[0]["splits"], records[0]["num_reference"]) == (200, 2, 297)
    assert sum(records[0]["classes"]) == 400
    assert "classes of the samples: 0: " in tables[0]

    rows = {}
    for line in tables[0].splitlines():
        name = next(
            (n for n in ("samples", "real (train)", "noise") if line.strip().startswith(n + " ")), None
        )
        if name:
            rows[name] = [float(x) for x in re.sub(r"\+- \S+|,", "", line.replace(name, "")).split()]
    floor, ceiling = rows["real (train)"], rows["noise"]
    assert floor[0] > ceiling[0]  # classifier score: higher is better
    assert 0 < floor[1] < rows["samples"][1]
    assert floor[1] * 10 < ceiling[1]
    assert abs(floor[2]) < 0.5 < ceiling[2]


def test_the_same_checkpoint_scores_the_same_twice_and_on_any_devices(make):
    records = []
    for n, workdir in ((1, "a"), (1, "b"), (2, "c")):
        runner = make("gan/digits", num_devices=n, workdir=workdir)
        records.append(Evaluator(runner).evaluate(runner.init(), 0))
    one, again, two = ({k: v for k, v in r.items() if isinstance(v, float)} for r in records)
    assert one == again
    assert two == pytest.approx(one, rel=1e-4)
    assert one["digits_cnn_frechet"] > 1


def test_followed_run_is_scored_once_a_step_and_the_best_is_kept(make, capsys):
    runner = make("gan/digits", "keep_checkpoints=3")
    runner.train(runner.init(), 0)
    save_json(small_config("gan/digits"), runner.workdir.config)
    follower = Follower(Evaluator(runner))
    best = follower.follow()
    assert [r["step"] for r in records_of(runner)] == [2, 4]
    assert best["digits_cnn_score"] == max(r["digits_cnn_score"] for r in records_of(runner))
    kept = Workdir(runner.workdir.path / "best")
    assert checkpoints.steps(kept.checkpoints) == [best["step"]]
    assert checkpoints.restore_newest(kept.checkpoints, runner.abstract_state())[0] == best["step"]
    # A restart scores nothing again, and keeps what a kill before the copy left out.
    shutil.rmtree(kept.path)
    assert Follower(Evaluator(runner)).follow() == best
    assert checkpoints.steps(kept.checkpoints) == [best["step"]]
    assert len(records_of(runner)) == 2
    assert checkpoints.steps(runner.workdir.checkpoints) == [2, 4]


def test_follower_waits_while_training_runs_and_passes_over_what_is_damaged(make, capsys, monkeypatch):
    runner = make("gan/digits")
    runner.train(runner.init(), 0)
    save_json(small_config("gan/digits"), runner.workdir.config)
    (runner.workdir.checkpoints / "2" / "meta" / "metadata").write_text("{")
    looks = iter([True, True, True, False])
    monkeypatch.setattr(follow, "_SECONDS_BETWEEN_LOOKS", 0.01)
    best = Follower(Evaluator(runner), training_runs=lambda: next(looks)).follow()
    out = capsys.readouterr().out
    assert best["step"] == 4
    assert "checkpoint of step 2 is damaged" in out
    assert "waiting for a checkpoint after step 4; no process is training there now" in out


def test_a_classifier_is_scored_by_its_own_metrics_over_all_of_the_split(make, capsys):
    runner = make("classifier/digits")
    record = Evaluator(runner).evaluate(runner.init(), 0)
    assert record == {"step": 0, "by": "eval", **runner.evaluate(runner.init())}
    assert "accuracy" in capsys.readouterr().out
    assert list((runner.workdir.tensorboard / "scores").iterdir())
    assert Follower(Evaluator(runner)).metric(record) == "accuracy"


def test_best_metric_must_be_one_of_the_record(make):
    follower = Follower(Evaluator(make("gan/digits", "eval.best_metric=FID")))
    with pytest.raises(ConfigError, match="config.eval.best_metric: no metric 'FID'; known: a_score"):
        follower.metric({"step": 1, "a_score": 1.0, "a_score_std": 0.0})


def test_a_locked_run_is_training(tmp_path):
    workdir = Workdir(tmp_path)
    assert not follow.is_training(workdir)
    with workdir.lock():
        assert follow.is_training(workdir)
    assert not follow.is_training(workdir)


def records_of(runner):
    records = [json.loads(line) for line in (runner.workdir.metrics / "eval.jsonl").open()]
    return [r for r in records if r.get("by") == "eval"]


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
        (["--config.restore_path={run}", "--config.eval.network=inception"], "takes colour images"),
        (
            ["--config.restore_path={run}", "--config.eval.network=saved_model"],
            "config.eval.network_path: ",
        ),
        (["--config.restore_path={run}", "--config.eval.num_samples=9"], "make no 5 splits of at least 4"),
        (["--config=configs/gan/cifar10_adam.py"], "train one with ./run.sh train"),
    ],
)
def test_bad_input(trained, program_env, args, message):
    done = run(program_env, "eval.main", *[a.format(run=trained) for a in args])
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("num_devices", [1, 2])
def test_samples_do_not_depend_on_batches_beyond_their_size(make, num_devices):
    runner = make("gan/digits", num_devices=num_devices)
    state = runner.init()
    draw = lambda n: np.concatenate(list(sampling.generated(runner, state, n, 10, seed=0)))
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
