"""The evaluator on a short run of digits."""

import json
import os
import re
import shutil

import jax
import numpy as np
import pytest
from conftest import ROOT, refusal, run

from eval import reference_cache, sampling
from eval.evaluation import Evaluator
from eval.main import main
from eval.networks import Network
from eval.networks.network import prefixed
from eval.scores import Scores
from lib.data import load
from lib.runtime import checkpoints, records
from lib.runtime.trainer import NotFiniteError
from lib.tensorflow import tensorflow

pytestmark = pytest.mark.xdist_group("eval")  # they share a fixture that takes long

SHORT = ["--config.num_steps=20", "--config.checkpoint_every=10", "--config.eval_every=0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("eval") / "run"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = run(env, "experiments.main", *SHORT, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


def test_scores_floor_and_ceiling_from_the_run_s_own_config(trained, capsys):
    paths = [trained, trained / "checkpoints", trained / "checkpoints" / "10"]
    few = ["--config.eval.num_samples=400", "--config.eval.num_splits=2"]
    tables = []
    for path in paths[::2]:
        assert main([f"--config.restore_path={path}", *few]) == 0
        tables.append(capsys.readouterr().out)
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
        trainer = make("gan/digits", num_devices=n, workdir=workdir)
        records.append(Evaluator(trainer.programs, trainer.folder).evaluate(trainer.programs.init(), 0))
    one, again, two = ({k: v for k, v in r.items() if isinstance(v, float)} for r in records)
    assert one == again
    assert two == pytest.approx(one, rel=1e-4)
    assert one["digits_cnn_frechet"] > 1


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_classifier_is_scored_by_its_own_metrics_over_all_of_the_split(make, capsys, split):
    trainer = make("classifier/digits", "dataset.validation_size=200", f"dataset.eval_split={split}")
    record = Evaluator(trainer.programs, trainer.folder).evaluate(trainer.programs.init(), 0)
    checkpoint = checkpoints.checksum(jax.device_get(trainer.programs.init()))
    known = {"step": 0, "by": "eval", "checkpoint": checkpoint, "split": split}
    assert record == {**known, **trainer.programs.evaluate(trainer.programs.init())}
    assert f"on the {split} split" in capsys.readouterr().out
    assert list((trainer.folder.tensorboard / "scores").iterdir())


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
        (
            ["--config.restore_path={run}", "--config.eval.num_samples=21"],
            "21 samples do not divide into 5",
        ),
        (["--config.restore_path={run}/checkpoints/10", "--follow"], "--follow: takes a run, not one step"),
        (["--config.restore_path={empty}"], "config.restore_path: no checkpoint in"),
        (["--config=configs/gan/cifar10_adam.py"], "train one with ./run.sh train"),
    ],
)
def test_bad_input(trained, capsys, monkeypatch, tmp_path, args, message):
    monkeypatch.chdir(ROOT)
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(trained / "config.json", tmp_path)
    assert message in refusal(main, capsys, *[a.format(run=trained, empty=tmp_path) for a in args])


@pytest.mark.parametrize("num_devices", [1, 2])
def test_samples_do_not_depend_on_batches_beyond_their_size(make, num_devices):
    trainer = make("gan/digits", num_devices=num_devices)
    state = trainer.programs.init()
    draw = lambda n: np.concatenate(list(sampling.generated(trainer.programs, state, n, 10, seed=0)))
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


def test_real_statistics_do_not_depend_on_batches_and_outlive_damage(make, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path / "new" / "cache"))
    held_out = load("digits", "test")
    network = flat_pixels()
    whole = reference_cache.reference(held_out, network, 50, 297)
    (file,) = (tmp_path / "new/cache/statistics").glob("*.npz")
    file.write_bytes(file.read_bytes()[:1000])
    parts = reference_cache.reference(held_out, network, 50, 7)
    np.testing.assert_array_equal(parts.features, whole.features)
    np.testing.assert_allclose(parts.gaussian.covariance, whole.gaussian.covariance, atol=1e-6)
    assert np.load(file)["n"] == 297


def test_real_against_real_falls_with_the_number_of_images(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path))
    held_out, network = load("digits", "test"), flat_pixels()
    reference = reference_cache.reference(held_out, network, 50, 100)
    distances = []
    for n in (70, 300, 1200):
        scores = Scores(reference)
        for batch in sampling.real(load("digits", "train"), n, 100, seed=1):
            scores.update(*network.apply(batch))
        distances.append(scores.values()["frechet"])
    assert distances[0] > 1.5 * distances[1] > 1.5 * distances[2] > 0
    noise = Scores(reference)
    for batch in sampling.noise((8, 8, 1), 1200, 100, seed=1):
        noise.update(*network.apply(batch))
    assert noise.values()["frechet"] > 10 * distances[0]


def test_scores_that_are_not_finite_are_one_line_and_no_record(make):
    trainer = make("gan/digits")
    broken = jax.tree.map(lambda x: x * np.nan if x.dtype == np.float32 else x, trainer.programs.init())
    with pytest.raises(NotFiniteError, match="step 3: not finite: .*it is not recorded"):
        Evaluator(trainer.programs, trainer.folder).evaluate(broken, 3)
    assert not (trainer.folder.metrics / "eval.jsonl").exists()


def test_events_of_one_second_do_not_overwrite_each_other(tmp_path):
    read_events = tensorflow().compat.v1.train.summary_iterator
    for step in (1, 2, 3):
        records.append_score(tmp_path, tmp_path, {"step": step, "score": float(step)})
    events = [event for file in (tmp_path / "scores").iterdir() for event in read_events(str(file))]
    assert {event.step for event in events if event.summary.value} == {1, 2, 3}


def test_runner_evaluates_every_example_of_the_split_once(make):
    """Against one pass over the unpadded split: 297 images are no multiple of the batch."""
    trainer = make("classifier/digits", num_devices=2)
    state, held_out = trainer.programs.init(), trainer.programs.data[1]
    images = held_out.image.astype(np.float32) * (2 / 255) - 1
    logits = np.asarray(trainer.programs.experiment.outputs["logits"](state, images)[0], np.float64)
    accuracy = (logits.argmax(1) == held_out.label).mean()
    log_softmax = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    log_softmax -= logits.max(1, keepdims=True)
    loss = -log_softmax[np.arange(297), held_out.label].mean()
    assert trainer.programs.evaluate(state) == pytest.approx({"accuracy": accuracy, "loss": loss}, rel=1e-5)


def flat_pixels() -> Network:
    """Features are the pixels themselves."""
    apply = lambda x: (np.pad(x[:, 0, :2, 0], ((0, 0), (0, 3))), x.reshape(len(x), -1))
    return Network("pixels", "of-nothing", "none", apply, prefixed("pixels"))
