"""A classifier's step against NumPy, its batch statistics, and what does not fit together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import largest_difference, small_config, states_equal, trained

from experiments import registry
from experiments.classifier.models import MODELS, ModelEntry
from lib.data import Dataset, DataSpec
from lib.errors import ConfigError
from lib.nets.options import NetOptions
from lib.nets.vgg import VGG

EVERYTHING = [
    "classifier.augmentation.crop_padding=1",
    "classifier.augmentation.flip=True",
    "classifier.l2=0.01",
]
EVERYTHING += ["classifier.normalization=standard", "classifier.loss.kwargs.smoothing=0.1"]
EVERYTHING += ["dataset.validation_size=100", "dataset.eval_split=validation"]
LOGISTIC = "classifier.model.name=logistic"
SGD = ["classifier.optimizer.name=sgd", "classifier.optimizer.learning_rate=0.1"]


def images(n: int, shape=(4, 4, 2), seed: int = 0) -> Dataset:
    """Returns a set of random images of three classes."""
    rng = np.random.default_rng(seed)
    return Dataset(rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 3, n).astype(np.int32), 3)


def built(data: Dataset, *overrides: str):
    """Builds the classifier of the digits with other fields, for a set of images."""
    config = registry.validated(small_config("classifier/digits", *overrides))
    return registry.build(config, DataSpec.of(data))


def batch_of(data: Dataset, rows=slice(None)) -> dict[str, np.ndarray]:
    """Returns some rows of a set as a training batch."""
    return {"image": data.image[rows], "label": data.label[rows]}


def test_steps_of_logistic_regression_are_their_transcription():
    # Standard inputs, smooth labels; L2 is in the gradient, and not in the loss that is recorded.
    args = (LOGISTIC, *EVERYTHING[2:5], *SGD, "classifier.l2=0.5")
    data = images(20)
    experiment = built(data, *args)
    state = jax.jit(experiment.init)(jax.random.key(0), batch_of(data))
    weights = jax.tree.map(lambda x: np.asarray(x, float), state.params["model"]["Dense_0"])
    pixels = data.image.astype(float)
    x = ((pixels - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))).reshape(20, -1)
    targets = 0.9 * np.eye(3) + 0.1 / 3
    step = jax.jit(experiment.train_step)
    for i in range(3):
        rows = np.arange(20)[i::3]
        state, metrics = step(state, batch_of(data, rows), jax.random.key(i))
        logits = x[rows] @ weights["kernel"] + weights["bias"]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        target = targets[data.label[rows]]
        np.testing.assert_allclose(metrics["model_loss"], -(target * np.log(p)).sum(1).mean(), rtol=1e-5)
        np.testing.assert_allclose(metrics["accuracy"], (p.argmax(1) == data.label[rows]).mean(), rtol=1e-6)
        error = (p - target) / len(rows)
        gradient = {"kernel": x[rows].T @ error, "bias": error.sum(0)}
        weights = {k: w - 0.1 * (gradient[k] + 0.5 * w) for k, w in weights.items()}
    for name, expected in weights.items():
        np.testing.assert_allclose(state.params["model"]["Dense_0"][name], expected, rtol=1e-4, atol=1e-5)


def test_batch_statistics_on_two_devices_in_checkpoints_and_in_evaluation(make, monkeypatch):
    # One device equals two, augmented images included; a resumed run goes on with the saved statistics.
    tiny = functools.partial(VGG, hidden=(4,), dropout=0.0, batch_norm=True, stages=((2,), (3,)))
    monkeypatch.setitem(MODELS, "tiny", ModelEntry(tiny, NetOptions))
    args = ("classifier/digits", "classifier.model.name=tiny", *EVERYTHING, *SGD)
    trainer = make(*args, workdir="one")
    start, one = jax.device_get(trainer.programs.init()), trained(trainer)
    stats = one.net_state["batch_stats"]
    assert largest_difference(start.net_state["batch_stats"], stats) > 1e-2
    assert start.net_state["inputs"]["mean"] != 0
    assert largest_difference(one, trained(make(*args, num_devices=2, workdir="two"))) < 2e-5

    trained(make(*args, "num_steps=2", workdir="parts"))
    assert states_equal(trained(make(*args, workdir="parts")), one)

    image = trainer.programs.data[1].image[:4] / np.float32(127.5) - 1
    head = jax.jit(trainer.programs.experiment.outputs["logits"])
    logits, features = head(one, image)
    assert (logits.shape, features.shape[0]) == ((4, 10), 4)
    untrained = one._replace(net_state=one.net_state | {"batch_stats": start.net_state["batch_stats"]})
    assert largest_difference(logits, head(untrained, image)[0]) > 1e-3
    np.testing.assert_allclose(head(one, image[:1])[0][0], logits[0], rtol=1e-4, atol=1e-5)


def test_the_constants_of_the_inputs_are_those_of_the_state():
    # Not those of the data at hand, which may be other ones when a checkpoint is read.
    args = (LOGISTIC, "classifier.normalization=standard", *SGD)
    ours, others = images(20), images(20)
    others.image[:] //= 2
    first, second = (built(data, *args) for data in (ours, others))
    key, batch = jax.random.key(0), batch_of(ours)
    state = jax.jit(first.init)(key, batch)
    held_out = batch | {"mask": np.ones(20, np.float32)}

    def results(experiment, state):
        return experiment.train_step(state, batch, key), experiment.eval_step(state, held_out, key)

    both = [jax.jit(functools.partial(results, experiment))(state) for experiment in (first, second)]
    jax.tree.map(np.testing.assert_array_equal, *both)
    changed = jax.jit(second.init)(key, batch).net_state["inputs"]
    assert largest_difference(changed, state.net_state["inputs"]) > 0.1


def test_evaluation_augments_and_smooths_nothing():
    data = images(20)
    batch = batch_of(data) | {"mask": np.ones(20, np.float32)}
    plain = built(data, LOGISTIC, *SGD)
    state = jax.jit(plain.init)(jax.random.key(0), batch_of(data))
    other = built(data, LOGISTIC, *SGD, *EVERYTHING[:3], EVERYTHING[4])
    both = [jax.jit(e.eval_step)(state, batch, jax.random.key(1)) for e in (plain, other)]
    jax.tree.map(np.testing.assert_array_equal, *both)
    losses = [
        jax.jit(e.train_step)(state, batch_of(data), jax.random.key(1))[1]["model_loss"]
        for e in (plain, other)
    ]
    assert abs(losses[0] - losses[1]) > 1e-3


def test_what_fills_up_a_batch_counts_neither_in_the_loss_nor_in_the_accuracy():
    data = images(20)
    experiment = built(data, LOGISTIC, *SGD)
    state = jax.jit(experiment.init)(jax.random.key(0), batch_of(data))
    logits, _ = experiment.outputs["logits"](state, data.image.astype(np.float32) / 127.5 - 1)
    right, eval_step = np.argmax(logits, 1).astype(np.int32), jax.jit(experiment.eval_step)

    def sums(label, counted):
        mask = (np.arange(20) < counted).astype(np.float32)
        return eval_step(state, {"image": data.image, "label": label, "mask": mask}, jax.random.key(1))

    assert sums(right, 20)["accuracy"] == (20, 20)
    assert sums(right, 15)["accuracy"] == (15, 15)
    others = np.where(np.arange(20) < 15, right, (right + 1) % 3)
    assert sums(others, 15) == sums(right, 15)
    assert sums(others, 20)["loss"][0] > sums(right, 20)["loss"][0] + 1e-3


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.reads == "images"])
def test_every_model_on_images_of_cifar(name):
    # Traced alone, and those whose depth is an option with few layers: most take long to compile.
    data = images(4, (32, 32, 3))
    shallow = ["classifier.model.kwargs.depth=10"] if name in ("wide_resnet", "densenet") else []
    experiment = built(data, f"classifier.model.name={name}", *shallow)
    key = jax.random.key(0)
    state = jax.eval_shape(experiment.init, key, batch_of(data))
    stepped, _ = jax.eval_shape(experiment.train_step, state, batch_of(data), key)
    assert jax.tree.map(jnp.shape, stepped) == jax.tree.map(jnp.shape, state)
    logits, features = jax.eval_shape(
        experiment.outputs["logits"], state, np.zeros((4, 32, 32, 3), np.float32)
    )
    assert logits.shape == (4, 3)
    assert features.ndim == 2


SECTION = "config.classifier"
WIDE, DENSE, MLP = "model.name=wide_resnet", "model.name=densenet", "model.name=mlp"


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            ["model.name=vgg"],
            f"model.name: unknown name 'vgg'; did you mean 'vgg16'? (known: {', '.join(MODELS)})",
        ),
        (
            ["model.name=vgg16"],
            "model.name: 'vgg16' needs images of at least 32x32, but those of 'digits' are 8x8; use "
            "another, such as 'mlp'",
        ),
        (
            ["model.name=resnet18", "model.kwargs.stem=imagenet"],
            "model.name: 'resnet18' needs images of at least 32x32, but those of 'digits' are 8x8; use ",
        ),
        (
            ["model.name=resnet18", "model.kwargs.stem=large"],
            "model.kwargs.stem: unknown name 'large'; known: imagenet, small",
        ),
        (
            ["model.kwargs.channels=(2,2,2,2)"],
            "model.name: 'cnn' needs images of at least 16x16, ",
        ),
        ([WIDE, "model.kwargs.depth=41"], "model.kwargs.depth: 41 is not 6 n + 4; use 40 or 46"),
        ([WIDE, "model.kwargs.depth=4"], "model.kwargs.depth: 4 is not 6 n + 4; use 10 or 16"),
        ([DENSE, "model.kwargs.depth=43"], "model.kwargs.depth: 43 is not 6 n + 4; use 40 or 46"),
        (
            [MLP, "model.kwargs.activation=relo"],
            "model.kwargs.activation: unknown name 'relo'; did you mean 'relu'?",
        ),
        ([MLP, "model.kwargs.hiden=(3,)"], "model.kwargs.hiden: unknown field; did you mean 'hidden'?"),
        ([MLP, "model.kwargs.hidden=(0,)"], "model.kwargs.hidden.0: should be greater than 0, got 0"),
        (["model.name=logistic", "model.kwargs.a=1"], "model.kwargs.a: 'logistic' takes no arguments"),
        (["model.kwargs.dropout=1.0"], "model.kwargs.dropout: should be less than 1, got 1.0"),
        (["normalization=standart"], "normalization: unknown name 'standart'; did you mean 'standard'?"),
        (["loss.kwargs.smoothing=1.0"], "loss.kwargs.smoothing: should be less than 1, got 1.0"),
        (["loss.name=hing"], "loss.name: unknown name 'hing'; did you mean 'hinge'"),
        (["loss.name=hinge", "loss.kwargs.k=2"], "loss.kwargs.k: "),
        (["loss.name=top_k_entropy", "loss.kwargs.k=3"], "loss.kwargs.k: 3 guesses of 3 classes"),
        (["l2=-1.0"], "l2: should be greater than or equal to 0, got -1.0"),
        (
            ["augmentation.crop_padding=8"],
            "augmentation.crop_padding: 8 may leave nothing of images of 8 pixels; use at most 7",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(overrides, message):
    with pytest.raises(ConfigError) as error:
        built(images(4, (8, 8, 1)), *(f"classifier.{override}" for override in overrides))
    assert str(error.value).startswith(f"{SECTION}.{message}")
    assert error.value.field.startswith(SECTION)
