"""Evaluations of untrained states: samples of a GAN on digits, and a classifier's own metrics."""

import contextlib
import copy
import io
import shutil

import jax
import numpy as np
import pytest
from conftest import ROOT, refusal, small_config

from eval import sampling
from eval.evaluation import Evaluator
from eval.image_scorer import ImageScorer
from eval.main import main
from eval.networks.network import Network, score_names
from experiments import registry
from lib.errors import ConfigError
from lib.runtime import checkpoints, records
from lib.runtime.interval_means import NotFiniteError
from lib.runtime.run_folder import RunFolder
from lib.tensorflow import tensorflow

pytestmark = pytest.mark.usefixtures("scoring_network")

FEW = ("eval.num_samples=400", "eval.num_splits=2", "eval.batch_size=200")
NOWHERE = ("--config.eval.network_path=/nowhere",)
STATISTICS = "--config.eval.reference_statistics=/nowhere.npz"
LOGISTIC = ("classifier/digits", "classifier.model.name=logistic")


@pytest.fixture(scope="module")
def gan():
    """Returns {number of devices: programs} of the GAN on digits."""
    config = registry.validated(small_config("gan/digits", *FEW))
    return {n: registry.programs(config, jax.local_devices()[:n]) for n in (1, 2)}


@pytest.fixture(scope="module")
def state(gan):
    """Returns the GAN's first state."""
    return jax.device_get(gan[1].init())


@pytest.fixture(scope="module")
def run(gan, state, tmp_path_factory):
    """Returns the folder of a run of the GAN with two checkpoints, of steps 10 and 20."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.create()
    folder.write_config(small_config("gan/digits"))
    writer = checkpoints.Writer(folder.checkpoints, keep=2)
    for step in (10, 20):
        writer.save(step, state)
    writer.close()
    return folder


@pytest.fixture(scope="module")
def evaluated(gan, state, run, scoring_network):
    """Returns the record of the run's step 20, and what its evaluation prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        record = Evaluator(gan[1], run).evaluate(state, 20)
    return record, printed.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Returns an empty run's folder."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return folder


def floats(record):
    """Returns the metrics and scores of a record."""
    return {name: value for name, value in record.items() if isinstance(value, float)}


def rows_of(printed):
    """Returns {name of images: numbers} of the printed tables of scores, without spreads."""
    rows = {}
    for line in printed.splitlines():
        for name in ("samples", "real (train)", "noise"):
            if line.strip().startswith(f"{name} "):
                cells = line.replace(name, "").replace(",", "").split()
                rows.setdefault(name, []).extend(
                    float(c) for c, before in zip(cells, ["", *cells], strict=False) if before != "+-" != c
                )
    return rows


def test_scores_floor_and_ceiling(evaluated, run):
    record, printed = evaluated
    assert "training the scoring network, once" in printed
    assert "step 20 of" in printed
    assert record["step"] == 20
    assert records.read_scores(run.metrics) == [record | {"by": "eval"}]
    assert {"network", "network_checksum", "resize", "checkpoint"} <= record.keys()
    assert {"digits_cnn_score", "digits_cnn_frechet", "digits_cnn_kernel_std"} <= record.keys()
    assert not {"FID", "IS", "KID"} & record.keys()
    assert (record["per_split"], record["splits"], record["num_reference"]) == (200, 2, 297)
    assert sum(record["classes"]) == 400
    assert "classes of the samples: 0: " in printed
    assert (run.figures / "eval_0000020.png").exists()
    assert (run.figures / "nearest_0000020.png").exists()
    assert "distance to the nearest training image" in printed
    assert not (run.figures / "scores.png").exists()  # of one record

    rows = rows_of(printed)
    floor, ceiling = rows["real (train)"], rows["noise"]
    assert floor[0] > ceiling[0]  # classifier score: higher is better
    assert 0 < floor[1] < rows["samples"][1]
    assert floor[1] * 10 < ceiling[1]
    assert abs(floor[2]) < 0.5 < ceiling[2]
    assert min(floor[6:10]) > 0.5  # precision, recall, density, coverage: of the second table
    assert max(rows["samples"][7:10]) < 0.5


def pixels(images):
    """Returns the first five pixels as logits, and all of them as features."""
    return images[:, 0, :5, 0], images.reshape(len(images), -1)


@pytest.mark.parametrize(("images", "parts"), [(1000, (200, 5)), (950, (200, 4)), (70, (70, 1))])
def test_what_is_left_after_the_last_whole_part_is_dropped(gan, images, parts):
    network = Network("pixels", "", "none", pixels, score_names("pixels"))
    scorer = ImageScorer(gan[1], network, gan[1].data.held_out)
    record = scorer.record("real", sampling.real(gan[1].data.train, images, 150, seed=0))
    assert (record["per_split"], record["splits"]) == parts
    assert sum(record["classes"]) == parts[0] * parts[1]
    assert record["pixels_frechet"] > 0


def with_reference(programs, split: str):
    """Returns programs whose samples are compared with another split."""
    changed = copy.copy(programs)
    section = programs.config.eval.model_copy(update={"reference_split": split})
    changed.config = programs.config.model_copy(update={"eval": section})
    return changed


def test_samples_may_be_compared_with_the_training_split(evaluated, gan, state, folder, capsys):
    held_out, printed = evaluated
    by_train = Evaluator(with_reference(gan[1], "train"), folder)
    record = by_train.evaluate(state, 20)
    assert "against the test split" in printed
    assert "against the train split" in capsys.readouterr().out
    assert (held_out["num_reference"], record["num_reference"]) == (297, 1500)
    assert record["digits_cnn_score"] == held_out["digits_cnn_score"]
    assert record["digits_cnn_frechet"] != held_out["digits_cnn_frechet"]
    # Records of one reference are not those of another.
    assert by_train.records().keys() == {20}
    assert Evaluator(gan[1], folder).records() == {}
    with pytest.raises(ConfigError, match="^config.eval.reference_split: .*no split 'trian'"):
        Evaluator(with_reference(gan[1], "trian"), folder).check()


@pytest.mark.parametrize(("path", "step"), [("checkpoints/10", 10), ("checkpoints", 20)])
def test_a_path_names_a_step_or_the_newest_of_a_run_with_its_own_config(
    run, state, monkeypatch, capsys, path, step
):
    scored = {}

    def evaluate(self, restored, number):
        assert checkpoints.checksum(restored) == checkpoints.checksum(state)
        scored[number] = self.config

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    assert main([f"--config.restore_path={run.path / path}", "--config.eval.num_splits=4"]) == 0
    assert scored.keys() == {step}
    assert (scored[step].eval.num_samples, scored[step].eval.num_splits) == (40, 4)
    assert "recorded in" in capsys.readouterr().out


def test_the_same_checkpoint_scores_the_same_twice_and_on_any_devices(
    evaluated, gan, state, folder, scoring_network, capsys
):
    one = floats(evaluated[0])
    again, two = (floats(Evaluator(gan[n], folder).score(state, 0)) for n in (1, 2))
    assert one == again
    # The scoring network is trained once.
    assert "training the scoring network" not in capsys.readouterr().out
    assert len(list(scoring_network.iterdir())) == 1
    assert two == pytest.approx(one, rel=1e-4)
    assert one["digits_cnn_frechet"] > 1


def test_a_scoring_network_whose_checkpoints_are_all_damaged_is_trained_again(
    evaluated, gan, state, folder, scoring_network, capsys
):
    (network,) = scoring_network.iterdir()
    for seal in network.glob("checkpoints/*/seal.json"):
        seal.write_text("[]")
    again = Evaluator(gan[1], folder).score(state, 0)
    printed = capsys.readouterr().out
    assert "are damaged: the scoring network is trained again" in printed
    assert printed.count("training the scoring network") == 1
    assert floats(again) == floats(evaluated[0])


@pytest.mark.parametrize("num_devices", [1, 2])
def test_samples_do_not_depend_on_batches_beyond_their_size(gan, state, num_devices):
    programs = gan[num_devices]
    placed = programs.place(state)
    many, few = (
        np.concatenate(list(sampling.generated(programs, placed, n, 200, seed=0))) for n in (700, 300)
    )
    assert many.shape == (700, 8, 8, 1)
    assert np.abs(many).max() <= 1
    assert many.std() > 0
    np.testing.assert_array_equal(many[:300], few)
    assert np.abs(many[:200] - many[200:400]).max() > 1e-3


def test_scores_that_are_not_finite_are_one_line_and_no_record(gan, state, folder):
    broken = jax.tree.map(lambda x: x * np.nan if x.dtype == np.float32 else x, state)
    with pytest.raises(NotFiniteError, match="step 3: not finite: .*it is not recorded"):
        Evaluator(gan[1], folder).evaluate(broken, 3)
    assert not (folder.metrics / "eval.jsonl").exists()


def test_events_of_one_second_do_not_overwrite_each_other(tmp_path):
    read_events = tensorflow().compat.v1.train.summary_iterator
    for step in (1, 2, 3):
        records.append_score(tmp_path, tmp_path, {"step": step, "score": float(step)})
    events = [event for file in (tmp_path / "scores").iterdir() for event in read_events(str(file))]
    assert {event.step for event in events if event.summary.value} == {1, 2, 3}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--config.restore_path={run}/checkpoints/15"], "config.restore_path: no folder"),
        (["--config.restore_path={run}/metrics"], "is not of a run"),
        (["--config.restore_path={run}", "--workdir={empty}"], "--workdir: "),
        (
            ["--config.restore_path={run}", "--config.gan.num_latents=3"],
            "config.gan.num_latents: 3 here, 32",
        ),
        (
            ["--config.restore_path={run}", f"--config={ROOT}/configs/gan/mnist_sgd.py"],
            "config.dataset.name: ",
        ),
        (["--config.restore_path={run}", "--config.eval.network=vgg"], "config.eval.network: "),
        (["--config.restore_path={run}", "--config.eval.classifier=x"], "config.eval.classifier: "),
        (["--config.restore_path={run}", "--config.eval.network=vgg16", *NOWHERE], "cannot read '/now"),
        (["--config.restore_path={run}", "--config.eval.network=inception", *NOWHERE], "no saved_model"),
        (["--config.restore_path={run}", "--config.eval.neighbours=20"], "neighbours: must be less than"),
        (["--config.restore_path={run}", "--config.eval.neighbours=0"], "config.eval.neighbours: "),
        (["--config.restore_path={run}", STATISTICS], "eval.reference_statistics: cannot read"),
        (
            ["--config.restore_path={run}", STATISTICS, "--config.eval.reference_split=train"],
            "config.eval.reference_statistics: this and reference_split name two references",
        ),
        (["--config.restore_path={run}", "--with=tf"], "with"),
        (
            ["--config.restore_path={run}", "--config.eval.network=saved_model"],
            "config.eval.network_path: ",
        ),
        (["--config.restore_path={run}", "--config.eval.num_samples=7"], "make no 2 splits of at least 4"),
        (["--config.restore_path={run}", "--config.eval.num_samples=21"], "config.eval.num_samples: "),
        (["--config.restore_path={run}/checkpoints/10", "--follow"], "--follow: takes a run, not one step"),
        (["--config.restore_path={empty}"], "config.restore_path: no checkpoint in"),
        (["--config=configs/gan/cifar10_adam.py"], "train one with ./run.sh train"),
    ],
)
def test_bad_input(run, capsys, monkeypatch, tmp_path, args, message):
    monkeypatch.chdir(ROOT)
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(run.config, tmp_path)
    assert message in refusal(main, capsys, *[a.format(run=run.path, empty=tmp_path) for a in args])


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_classifier_is_scored_by_its_own_metrics_over_all_of_the_split(make, capsys, split):
    trainer = make(*LOGISTIC, "dataset.validation_size=200", f"dataset.eval_split={split}")
    programs, folder = trainer.programs, trainer.folder
    state = programs.init()
    record = Evaluator(programs, folder).evaluate(state, 0)
    checkpoint = checkpoints.checksum(jax.device_get(state))
    assert record == {"step": 0, "checkpoint": checkpoint, "split": split, **programs.evaluate(state)}
    assert records.read_scores(folder.metrics) == [record | {"by": "eval"}]
    assert f"on the {split} split" in capsys.readouterr().out
    assert list((folder.tensorboard / "scores").iterdir())


def test_programs_evaluate_every_example_of_the_split_once(make):
    """Compares with one pass over the unpadded split: 297 images are no multiple of the batch."""
    programs = make(*LOGISTIC, num_devices=2).programs
    state, held_out = programs.init(), programs.data.held_out
    images = held_out.image.astype(np.float32) * (2 / 255) - 1
    logits = np.asarray(programs.experiment.outputs["logits"](state, images)[0], np.float64)
    accuracy = (logits.argmax(1) == held_out.label).mean()
    log_softmax = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    log_softmax -= logits.max(1, keepdims=True)
    loss = -log_softmax[np.arange(297), held_out.label].mean()
    assert programs.evaluate(state) == pytest.approx({"accuracy": accuracy, "loss": loss}, rel=1e-5)
