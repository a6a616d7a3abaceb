"""The networks of GANs: sizes as published, and the pair for images of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.gan import nets
from lib.data import DataSpec
from lib.errors import ConfigError
from lib.schema import Named


def make(name: str, shape: tuple[int, ...], num_latents: int = 128, **kwargs) -> nets.Nets:
    """Returns a pair by name, for data of a shape."""
    return nets.make(Named(name=name, kwargs=kwargs), num_latents, "none", DataSpec(shape, 10, 100), "data")


def sizes(pair: nets.Nets, shape: tuple[int, ...]) -> dict[str, int]:
    """Returns how many parameters each player has."""
    params, _ = jax.eval_shape(pair.init, jax.random.key(0), jnp.zeros((2, *shape)))
    return {x: sum(leaf.size for leaf in jax.tree.leaves(params[x])) for x in params}


@pytest.mark.parametrize(
    ("name", "shape", "gen", "disc"),
    [("cifar10", (32, 32, 3), 3_812_355, 2_935_873), ("mnist", (28, 28, 1), 456_577, 274_497)],
)
def test_the_networks_of_the_paper_have_as_many_parameters_as_the_published_ones(name, shape, gen, disc):
    assert sizes(make(name, shape), shape) == {"gen": gen, "disc": disc}


def test_the_width_of_the_cifar10_networks_scales_every_hidden_layer():
    shape = (32, 32, 3)
    quarter = make("cifar10", shape, width=16)
    params, _ = jax.eval_shape(quarter.init, jax.random.key(0), jnp.zeros((2, *shape)))
    full, _ = jax.eval_shape(make("cifar10", shape).init, jax.random.key(0), jnp.zeros((2, *shape)))
    ratios = jax.tree.map(lambda a, b: b.size / a.size, params, full)
    assert jax.tree.structure(ratios) == jax.tree.structure(params)
    assert ratios["gen"]["Dense_0"]["kernel"] == 4
    kernels = [layer["kernel"] for name, layer in ratios["disc"].items() if name.startswith("Conv")]
    assert sorted(kernels) == [4, 16, 16, 16, 16, 16, 16]


SHAPES = {"cifar10": (32, 32, 3), "mnist": (28, 28, 1), "digits": (8, 8, 1), "dcgan": (8, 8, 1)}
SHAPES |= {"mlp": (2,)}


@pytest.mark.parametrize("name", nets.NETS)
def test_pairs_are_keys_of_compiled_functions(name):
    """Checks what pictures of samples need: pairs that are made alike are equal, and hash."""
    shape = SHAPES[name]
    pair = make(name, shape)
    assert hash(pair) == hash(make(name, shape))
    assert pair == make(name, shape)


def test_activations_of_dense_pairs_are_those_that_are_named():
    """Scales the inputs of a discriminator without biases: ReLU networks scale along, tanh ones do not."""
    points = jax.random.normal(jax.random.key(0), (5, 2))
    for name, is_linear in (("relu", True), ("tanh", False)):
        pair = make("mlp", (2,), activation=name)
        disc, *_ = pair.discriminator(*pair.init(jax.random.key(0), points))
        once, twice = disc(points), disc(2 * points)
        assert float(jnp.abs(once).max()) > 0.1
        assert np.allclose(twice, 2 * once, rtol=1e-5) == is_linear


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 48, 3)])
def test_dcgan_makes_and_judges_images_of_any_size_that_divides_by_4(shape):
    pair = make("dcgan", shape, num_latents=5, width=2)
    params, state = pair.init(jax.random.key(0), jnp.zeros((2, *shape)))
    images, new = pair.generate(params, state, pair.latents(jax.random.key(1), 3), train=True)
    assert images.shape == (3, *shape)
    assert float(jnp.abs(images).max()) <= 1
    assert float(images.std()) > 0
    assert not jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), new, state["gen"]))
    disc, *_ = pair.discriminator(params, state)
    assert disc(images).shape == (3,)


def test_layer_normalisation_makes_activations_independent_of_their_scale():
    shape = (8, 8, 1)
    pair = make("dcgan", shape, num_latents=5, width=2, layer_norm=True)
    params, state = pair.init(jax.random.key(0), jnp.zeros((2, *shape)))
    images = jax.random.normal(jax.random.key(1), (3, *shape))
    disc, *_ = pair.discriminator(params, state)
    assert float(jnp.abs(disc(images)).min()) > 1e-3
    np.testing.assert_allclose(disc(30 * images), disc(300 * images), rtol=1e-3)
    np.testing.assert_allclose(disc(images)[1], disc(images[1:2])[0], rtol=1e-5)
    plain, *_ = make("dcgan", shape, num_latents=5, width=2).discriminator(params, state)
    assert float(jnp.abs(plain(300 * images) / plain(30 * images)).min()) > 5


@pytest.mark.parametrize("shape", [(30, 28, 1), (28, 27, 1), (2,)])
def test_dcgan_refuses_other_shapes(shape):
    with pytest.raises(ConfigError, match="nets.name: 'dcgan' is for images whose sides divide by 4"):
        make("dcgan", shape)
