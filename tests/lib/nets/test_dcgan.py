"""The generator of CIFAR-10 against a transcription of the published one in NumPy, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.nets.dcgan import Generator

LATENTS = np.random.default_rng(0).normal(size=(5, 6))


def slid(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Returns the products of a kernel [k, k, in, out] with all windows of images, which are padded."""
    k = len(kernel)
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel)


def doubled(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Returns the transpose of a 4x4 convolution of stride 2: pixels among zeros meet the turned kernel."""
    n, h, w, c = x.shape
    spread = np.zeros((n, 2 * h + 3, 2 * w + 3, c))
    spread[:, 2 : 2 * h + 2 : 2, 2 : 2 * w + 2 : 2] = x
    return slid(spread, kernel[::-1, ::-1]) + bias


def normalised(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5) * scale + bias


@pytest.mark.usefixtures("float64")
def test_the_small_image_goes_on_without_batch_statistics_and_relu():
    net = Generator((2, 2), (4, 3, 2), 4, 3, is_batch_normalised=True, is_first_linear=True, last_kernel=3)
    latents = jnp.asarray(LATENTS)
    params = net.init(jax.random.key(0), latents, train=False)["params"]
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda p: jnp.asarray(random.normal(size=p.shape)), params)
    variables = net.init(jax.random.key(0), latents, train=False) | {"params": params}
    images, _ = net.apply(variables, latents, train=True, mutable=["batch_stats"])

    p = jax.tree.map(np.asarray, params)
    x = (LATENTS @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]).reshape(-1, 2, 2, 4)
    for i in range(2):
        layer, norm = p[f"ConvTranspose_{i}"], p[f"BatchNorm_{i}"]
        x = np.maximum(normalised(doubled(x, **layer), **norm), 0)
    x = slid(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), p["Conv_0"]["kernel"]) + p["Conv_0"]["bias"]
    assert images.dtype == np.float64
    np.testing.assert_allclose(images, np.tanh(x), rtol=1e-9, atol=1e-9)
