"""One device equals two, drift terms included: for points, and for networks with batch statistics."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from conftest import small_config

from experiments import registry
from experiments.gan.nets import NETS, Nets
from lib.data import DataSpec, load
from lib.nets import dcgan
from lib.runtime.devices import AXIS, device_share

# Its stopped factor is the mean over devices, and its other factor is linear in the devices' batches.
DRIFT = [
    "gan.updates=simultaneous",
    "gan.grad_regularizes.estimator=biased_averaged",
    "gan.grad_regularizes.dd_coeffs_multiplier.disc.other_dot_prod=0.0",
    "gan.grad_regularizes.dd_coeffs_multiplier.gen.other_dot_prod=-1.0",
    "gan.grad_regularizes.dd_coeffs_multiplier.gen.self_norm=1.0",
]


@pytest.fixture(autouse=True)
def shared_latents(monkeypatch):
    """Every device takes its rows of the same latents, where a run gives each device its own."""

    def latents(self, key, n):
        del key
        return device_share(lambda rows: jax.random.normal(jax.random.key(7), (rows, self.num_latents)), n)

    monkeypatch.setattr(Nets, "latents", latents)


def difference(a, b) -> float:
    leaves = zip(*map(jax.tree.leaves, jax.device_get((a, b))), strict=True)
    return max(float(np.max(np.abs(x - y))) for x, y in leaves)


def trained(experiment, image: np.ndarray):
    """The states after two steps on one device and on two."""
    batch = {"image": image, "label": np.zeros(len(image), np.int32)}
    start = jax.jit(experiment.init)(jax.random.key(0), batch)
    states = []
    for n in (1, 2):
        step = jax.pmap(
            experiment.train_step,
            AXIS,
            in_axes=(None, 0, None),
            out_axes=None,
            devices=jax.local_devices()[:n],
        )
        state, split = start, jax.tree.map(lambda x, n=n: x.reshape(n, -1, *x.shape[1:]), batch)
        for i in range(2):
            state, _ = jax.block_until_ready(step(jax.device_get(state), split, jax.random.key(i)))
        states.append(state)
    assert difference(start.params, states[0].params) > 1e-3
    assert not jax.tree.leaves(start.net_state) or difference(start.net_state, states[0].net_state) > 1e-3
    return states


def test_points():
    args = ("dataset.name=ring8", "gan.nets.name=mlp", "gan.spectral_norm=exact", *DRIFT)
    config = registry.validated(small_config("gan/digits", *args))
    data = load("ring8", "train")
    one, two = trained(registry.build(config, DataSpec.of(data)), data.image[:8])
    assert difference(one, two) < 2e-6


class SmallDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, image):
        return nn.Dense(1)(nn.tanh(nn.Dense(4)(image.reshape(len(image), -1))))[:, 0]


def test_batch_statistics(monkeypatch):
    """A narrow form of the generator of CIFAR-10, whose batch statistics are over all devices."""
    narrow = dcgan.Generator(4, (16, 8, 4, 2), kernel=4, channels=3, is_batch_normalised=True)
    entry, shape = NETS["cifar10"], NETS["cifar10"].shape
    monkeypatch.setitem(NETS, "cifar10", entry._replace(pair=lambda: (narrow, SmallDiscriminator())))
    config = registry.validated(small_config("gan/cifar10_sgd", "gan.num_latents=3", *DRIFT))
    image = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    one, two = trained(registry.build(config, DataSpec(shape, 10, 4)), image)
    assert difference(one, two) < 1e-5
