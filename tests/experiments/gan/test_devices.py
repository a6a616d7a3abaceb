"""One device equals two, drift terms included: for points, and for networks with batch statistics."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from conftest import largest_difference, small_config

from experiments import registry
from experiments.gan.nets import NETS, Nets, PairEntry
from lib.data import DataSpec, load
from lib.nets import dcgan
from lib.nets.options import NetOptions
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
    """Gives each device its rows of the same latents, where a run gives each device its own."""

    def latents(self, key, n):
        del key
        return device_share(lambda rows: jax.random.normal(jax.random.key(7), (rows, self.num_latents)), n)

    monkeypatch.setattr(Nets, "latents", latents)


def states_on_one_and_two(experiment, image: np.ndarray):
    """Returns the states after two steps on one device and on two."""
    batch = {"image": image, "label": np.zeros(len(image), np.int32)}
    start = jax.jit(experiment.init)(jax.random.key(0), batch)
    batches, states = experiment.batches_per_step, []
    for n in (1, 2):
        step = jax.pmap(
            experiment.train_step,
            AXIS,
            in_axes=(None, 0, None),
            out_axes=None,
            devices=jax.local_devices()[:n],
        )
        # Each device has its share of every batch of the step.
        shares = jax.tree.map(lambda x, n=n: x.reshape(batches, n, -1, *x.shape[1:]).swapaxes(0, 1), batch)
        state, split = start, jax.tree.map(lambda x, n=n: x.reshape(n, -1, *x.shape[3:]), shares)
        for i in range(2):
            state, _ = jax.block_until_ready(step(jax.device_get(state), split, jax.random.key(i)))
        states.append(state)
    assert largest_difference(start.params, states[0].params) > 1e-3
    assert (
        not jax.tree.leaves(start.net_state)
        or largest_difference(start.net_state, states[0].net_state) > 1e-3
    )
    return states


@pytest.mark.parametrize("batches", ["shared", "separate"])
def test_points(batches):
    args = ("dataset.name=ring8", "gan.nets.name=mlp", "gan.nets.kwargs.num_layers=1", *DRIFT)
    args += ("gan.spectral_norm=exact", f"gan.player_batches={batches}")
    config = registry.validated(small_config("gan/digits", *args))
    data = load("ring8", "train")
    one, two = states_on_one_and_two(registry.build(config, DataSpec.of(data)), data.image[:8])
    assert largest_difference(one, two) < 2e-6


class SmallDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, image):
        return nn.Dense(1)(nn.tanh(nn.Dense(4)(image.reshape(len(image), -1))))[:, 0]


def test_batch_statistics(monkeypatch):
    # A small form of the generator of CIFAR-10, whose batch statistics are over all devices.
    shape = (8, 8, 3)
    narrow = dcgan.Generator(
        (4, 4), (2, 2), 4, 3, is_batch_normalised=True, is_first_linear=True, last_kernel=3
    )
    entry = PairEntry(lambda: (narrow, SmallDiscriminator()), NetOptions, shape)
    monkeypatch.setitem(NETS, "cifar10", entry)
    config = registry.validated(small_config("gan/cifar10_sgd", "gan.num_latents=3", *DRIFT))
    image = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    one, two = states_on_one_and_two(registry.build(config, DataSpec(shape, 10, 4)), image)
    assert largest_difference(one, two) < 1e-5
