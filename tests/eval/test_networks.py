"""Scoring networks: Inception's path on a small module with its signature, any SavedModel, any run."""

import hashlib
import shutil

import jax
import numpy as np
import pytest
from conftest import small_config

from eval import sampling
from eval.networks import NETWORKS, UnloadedNetwork, inception, scoring_network
from eval.networks.classifier_run import _WITHOUT_EFFECT, _digest, classifier_run
from eval.networks.inception import ADDRESS, SIZE
from eval.tfgan import tfgan_eval
from experiments import catalogue, registry
from lib.data import Dataset
from lib.errors import ConfigError
from lib.runtime import checkpoints
from lib.runtime.run_folder import RunFolder
from lib.tensorflow import tensorflow

COLOUR = Dataset(np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.int32), 10)
GREY = Dataset(np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32), 10)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Returns a folder of SavedModels: `inception` as TF-GAN's, `grey` 8x8, `poor` without features."""
    tf = tensorflow()
    root = tmp_path_factory.mktemp("modules")

    class Module(tf.Module):
        def __init__(self, shape, outputs):
            super().__init__()
            self.weight = tf.Variable(tf.random.stateless_normal((shape[2], 2), (0, 1)))
            self.outputs = outputs

            def call(images):
                pooled = tf.reduce_mean(images, (1, 2)) @ self.weight
                flat = tf.reshape(images, (-1, int(np.prod(shape))))
                known = {"logits": tf.pad(pooled, [[0, 0], [0, 1006]]), "features": flat[:, :20]}
                known["pool_3"] = tf.reshape(tf.tile(pooled, (1, 1024)), (-1, 1, 1, 2048))
                return {name: known[name] for name in outputs}

            self.__call__ = tf.function(call, input_signature=[tf.TensorSpec((None, *shape), tf.float32)])

    for name, shape, outputs in (
        ("any_size", (32, 32, 3), ("logits", "features")),
        ("inception", (299, 299, 3), ("logits", "pool_3")),
        ("grey", (8, 8, 1), ("logits", "features")),
        ("poor", (8, 8, 1), ("logits",)),
    ):
        module = Module(shape, outputs)
        signature = module.__call__.get_concrete_function()
        tf.saved_model.save(module, str(root / name), signatures=signature)
        if name == "any_size":
            inner = tf.Module()  # not callable: only its signature is left
            inner.module = module
            tf.saved_model.save(inner, str(root / "signature_only"), signatures=signature)
    return root


def network(name, path, data=COLOUR):
    """Returns the scoring network of a kind and a path, for images as of `data`."""
    overrides = (f"eval.network={name}", f"eval.network_path={path}")
    return NETWORKS[name](registry.validated(small_config("gan/digits", *overrides)), data).load()


def test_inception_is_called_at_its_size_and_gives_its_names(modules):
    inception = network("inception", modules / "inception")
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
    logits, features = inception.apply(images)
    assert logits.shape == (3, 1008)
    assert features.shape == (3, 2048)
    assert np.abs(logits[:, :2]).min() > 0
    # Resizing keeps the range; a constant image stays what it is.
    ones = np.ones((1, 32, 32, 3), np.float32)
    np.testing.assert_allclose(inception.apply(ones)[0], -inception.apply(-ones)[0], rtol=1e-5)
    assert inception.resize == "bilinear to 299x299"
    names = inception.names
    assert (names["score"], names["frechet"], names["kernel"]) == ("IS", "FID", "KID")
    assert names["recall"] == "inception_recall"
    assert len(inception.checksum) == 32


@pytest.mark.parametrize("with_tfgan", [False, True])
def test_without_a_file_of_inception_vgg16_scores_and_one_line_says_so(
    monkeypatch, tmp_path, capsys, with_tfgan
):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(inception, "imagenet", lambda name, config, data: UnloadedNetwork({}, 512, name))
    config = registry.validated(small_config("gan/digits", "eval.network=inception"))
    assert scoring_network(config, COLOUR, with_tfgan).load == "vgg16"
    (line,) = capsys.readouterr().out.splitlines()
    assert "no file of Inception: the scores are VGG16's" in line
    assert f"resolve('{tfgan_eval().INCEPTION_TFHUB}')" in line


def test_constants_are_those_of_tf_gan():
    assert (ADDRESS, SIZE) == (tfgan_eval().INCEPTION_TFHUB, tfgan_eval().INCEPTION_DEFAULT_IMAGE_SIZE)


def test_inception_from_a_cache_that_the_environment_or_the_config_names(monkeypatch, modules, tmp_path):
    """Takes a TF-Hub cache, which holds modules in folders named by the digest of their address."""
    name = hashlib.sha1(tfgan_eval().INCEPTION_TFHUB.encode()).hexdigest()
    shutil.copytree(modules / "inception", tmp_path / name)
    checksum = network("inception", modules / "inception").checksum
    assert network("inception", tmp_path).checksum == checksum
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    assert network("inception", "").checksum == checksum


@pytest.mark.parametrize(
    ("module", "resize"),
    [("inception", "bilinear to 299x299"), ("signature_only", "none"), ("any_size", "none")],
)
def test_saved_model_of_another_size_is_fed_at_its_own(modules, module, resize):
    ours = network("saved_model", modules / module)
    assert ours.resize == resize
    logits, features = ours.apply(np.ones((2, 32, 32, 3), np.float32))
    assert logits.shape == (2, 1008)
    np.testing.assert_allclose(features[0], features[1])
    assert np.abs(features).max() > 0


def test_inception_sees_the_range_that_it_was_trained_on(modules):
    """Checks that uint8 0 and 255 come to -1 and 1: what TF-GAN's preprocessing gives."""
    black_and_white = np.zeros((2, 32, 32, 3), np.uint8)
    black_and_white[1] = 255
    (images,) = sampling.real(Dataset(black_and_white, np.zeros(2, np.int32), 10), 2, 2, seed=0)
    seen = network("saved_model", modules / "signature_only").apply(images)[1][:, :2]
    assert sorted(seen[:, 0]) == [-1, 1]
    assert images.dtype == np.float32


def test_saved_model_is_named_by_its_folder_also_when_that_is_here(modules, monkeypatch):
    monkeypatch.chdir(modules / "any_size")
    assert network("saved_model", ".").names["score"] == "any_size_score"


def test_saved_model_carries_its_folder_s_name(modules):
    grey = network("saved_model", modules / "grey", GREY)
    images = np.linspace(-1, 1, 2 * 64, dtype=np.float32).reshape(2, 8, 8, 1)
    logits, features = grey.apply(images)
    assert logits.shape == (2, 1008)
    np.testing.assert_array_equal(features, images.reshape(2, 64)[:, :20])
    assert grey.names["frechet"] == "grey_frechet"
    assert grey.resize == "none"


@pytest.mark.parametrize(
    ("name", "path", "data", "message"),
    [
        ("saved_model", "poor", GREY, "must give 'logits' and 'pool_3' or 'features'; it gives logits"),
        ("saved_model", "inception", GREY, r"refuses images of shape \(8, 8, 1\)"),
        ("saved_model", "nothing", GREY, "no saved_model.pb in"),
        ("inception", "nothing", COLOUR, "no saved_model.pb in"),
        ("checkpoint", "nothing", GREY, "no folder"),
    ],
)
def test_what_does_not_fit_is_one_line(modules, name, path, data, message):
    with pytest.raises(ConfigError, match=message) as error:
        network(name, modules / path, data)
    assert "\n" not in str(error.value)
    assert error.value.field == "config.eval.network_path"


def test_any_classifier_run_scores(make):
    mlp = ("classifier.model.name=mlp", "classifier.model.kwargs.hidden=(16,)")
    trainer = make("classifier/digits", *mlp, workdir="my_classifier")
    programs, folder = trainer.programs, trainer.folder
    folder.write_config(small_config("classifier/digits", *mlp))
    state = jax.device_get(programs.init())
    writer = checkpoints.Writer(folder.checkpoints, keep=1)
    writer.save(3, state)
    writer.close()
    ours = network("checkpoint", folder.path, GREY)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype(np.float32)
    logits, features = ours.apply(images)
    assert (logits.shape, features.shape) == ((2, 10), (2, 16))
    assert np.abs(logits).max() > 0
    np.testing.assert_allclose(logits, programs.experiment.outputs["logits"](state, images)[0], rtol=1e-5)
    assert ours.names["score"] == "my_classifier_score"
    assert ours.checksum == checkpoints.checksum(state)


def test_a_network_is_kept_whatever_is_written_while_it_is_trained(make):
    """Checks the digest by which users' caches have it: fields new to all configs are not in it."""
    programs = make("classifier/digits").programs

    def digest(*overrides: str) -> str:
        return _digest(programs, small_config("classifier/digits", *overrides))

    usual = digest()
    for field in ("log_seconds=5.0", "checkpoint_seconds=5.0", "epoch_means=True", "num_epochs=2.0"):
        assert digest(field) == usual
    without = small_config("classifier/digits").to_dict()
    for field in _WITHOUT_EFFECT:
        del without[field]
    assert _digest(programs, without) == usual
    assert digest("seed=1") != usual


def test_a_classifier_of_other_images_or_no_classifier_is_refused(make):
    trainer = make("games/bilinear", workdir="game")
    trainer.folder.write_config(small_config("games/bilinear"))
    with pytest.raises(ConfigError, match="is no classifier") as error:
        network("checkpoint", trainer.folder.path, GREY)
    assert error.value.field == "config.eval.network_path"
    sentences = registry.validated(
        small_config("gan/digits", "eval.network=checkpoint", "eval.classifier=classifier/snli")
    )
    with pytest.raises(ConfigError, match="classifies sentences; name a classifier of images"):
        classifier_run(sentences, GREY)
    section = ("eval.network=checkpoint", "eval.classifier=classifier/digits")
    config = registry.validated(small_config("gan/digits", *section))
    with pytest.raises(
        ConfigError, match=r"is for images of shape \(8, 8, 1\), not \(32, 32, 3\)"
    ) as error:
        NETWORKS["checkpoint"](config, COLOUR)
    assert error.value.field == "config.eval.classifier"


EPOCHS = """
from configs.classifier import digits
from configs.common import named

def get_config():
    config = digits.get_config()
    config.batch_size, config.num_epochs, config.eval_every = 150, {num_epochs}, 0
    config.epoch_means = {epoch_means}
    config.classifier.model = named("mlp", hidden=(4,))
    return config
"""


def test_a_network_that_is_trained_for_epochs_is_kept_with_its_steps(tmp_path, monkeypatch):
    """Trains one for 4 epochs of 10 steps, finds it again, and trains another for a 5th epoch."""
    file = tmp_path / "configs" / "classifier" / "epochs.py"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(catalogue, "CONFIGS", tmp_path / "configs")
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path))
    config = registry.validated(small_config("gan/digits", "eval.classifier=classifier/epochs"))
    known = set()
    for num_epochs, epoch_means, steps in ((4, False, [40]), (4, True, []), (5, False, [50])):
        file.write_text(EPOCHS.format(num_epochs=num_epochs, epoch_means=epoch_means))
        NETWORKS["checkpoint"](config, GREY).load()
        new = set((tmp_path / "networks").iterdir()) - known
        known |= new
        assert [RunFolder(path).newest_step() for path in new] == steps
        assert [RunFolder(path).read_config().num_steps for path in new] == steps
