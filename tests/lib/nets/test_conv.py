"""All forms of a convolution against each other, Flax, and the definition of a transpose."""

import contextlib
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.nets import conv, trilinear_conv

# kernel, stride, height, width, channels in, features
EVEN = [
    (1, 2, 4, 6, 2, 3),
    (2, 3, 6, 9, 2, 2),
    (3, 1, 5, 6, 2, 3),
    (3, 2, 6, 8, 2, 3),
    (4, 2, 8, 6, 3, 2),
    (5, 1, 3, 2, 2, 1),
]
# The stride does not divide the image: convolutions only.
UNEVEN = [(3, 2, 7, 5, 2, 3), (4, 2, 7, 7, 2, 3), (4, 3, 8, 10, 2, 2)]
# One more of each for the forms of the weights' gradient: fewer features than channels, wide patches.
EVEN += [(3, 1, 4, 4, 3, 2), (2, 1, 4, 4, 70, 2)]

FORMS = {
    "xla": (conv.xla_conv, conv.xla_conv_transpose),
    "band": (conv.band_conv, conv.band_conv_transpose),
    "trilinear": (trilinear_conv.convolve, trilinear_conv.convolve_transpose),
}
# Symmetric padding, which 'SAME' is not where a stride larger than 1 divides the image.
SYMMETRIC = [(3, 2, 6, 8, 2, 3), (7, 2, 8, 10, 2, 2), (3, 2, 7, 5, 2, 3), (3, 3, 6, 9, 2, 2)]
SYMMETRIC += [(1, 2, 4, 6, 2, 3), (3, 1, 5, 6, 2, 3)]


pytestmark = pytest.mark.usefixtures("float64")


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def arguments(case, transposed: bool) -> tuple[jax.Array, jax.Array]:
    """Returns an image and weights; for the transpose the image is the small one."""
    kernel, stride, height, width, c, f = case
    if transposed:
        height, width, c, f = height // stride, width // stride, f, c
    return normal(0, 2, height, width, c), normal(1, kernel, kernel, c, f) / kernel


def assert_same(ours, theirs, atol=1e-10):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert b.dtype == np.float64
        assert np.abs(b).max() > 1e-2
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def values_and_derivatives(function, transposed: bool, cases) -> list:
    """Returns, of each case, the value and derivatives of a form of a convolution, all by one program.

    The derivatives are the gradient and a Hessian-vector product of a loss of it that is not quadratic.
    """
    images = [arguments(case, transposed) for case in cases]
    directions = [(normal(3, *x.shape), normal(4, *w.shape)) for x, w in images]

    def of_case(x, weights, direction, stride):
        def loss(x, weights):
            y = function(x, weights, stride)
            return jnp.sum(normal(2, *y.shape) * jnp.tanh(y))

        return function(x, weights, stride), jax.jvp(jax.grad(loss, (0, 1)), (x, weights), direction)

    # Most of the time is the compiler's: results do not need its optimisations.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def of_all(images, directions):
        triples = zip(images, directions, cases, strict=True)
        return [of_case(*image, direction, case[1]) for image, direction, case in triples]

    return of_all(images, directions)


@pytest.mark.parametrize("form", ["band", "trilinear"])
@pytest.mark.parametrize("transposed", [False, True], ids=["convolution", "transpose"])
def test_a_form_is_xla_s(form, transposed):
    cases = EVEN if transposed else EVEN + UNEVEN
    forms = FORMS[form][transposed], FORMS["xla"][transposed]
    ours, xla_s = (values_and_derivatives(form, transposed, cases) for form in forms)
    assert len(ours) == len(cases)
    for a, b in zip(ours, xla_s, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("form", ["band", "trilinear"])
def test_a_form_pads_symmetrically_as_xla_does(form):
    forms = [functools.partial(f, symmetric=True) for f in (FORMS[form][0], conv.xla_conv)]
    ours, xla_s = (values_and_derivatives(form, False, SYMMETRIC) for form in forms)
    for a, b in zip(ours, xla_s, strict=True):
        assert_same(a, b)


def test_symmetric_padding_is_as_many_zeros_before_as_after():
    for case in SYMMETRIC:
        kernel, stride, height, width, *_, features = case
        x, weights = arguments(case, transposed=False)
        ours = conv.xla_conv(x, weights, stride, symmetric=True)
        layer = nn.Conv(features, (kernel, kernel), stride, (kernel - 1) // 2, use_bias=False)
        theirs = layer.apply({"params": {"kernel": weights}}, x)
        assert_same(ours, theirs, atol=1e-12)
        as_same = np.allclose(ours, conv.xla_conv(x, weights, stride))
        assert as_same == (kernel == 1 or stride == 1 or (height % stride > 0 and width % stride > 0))


def test_the_trilinear_form_can_be_vmapped_and_differentiated_three_times():
    x, weights = arguments((4, 2, 8, 6, 3, 2), transposed=False)

    def third(function):
        def loss(x, weights):
            return jnp.sum(jnp.tanh(function(x, weights, 2)))

        def one(x):
            gradient = jax.grad(loss, 1)
            hvp = jax.grad(lambda w: jnp.vdot(gradient(x[None], w), weights))
            return jax.jvp(hvp, (weights,), (jnp.cos(weights),))[1]

        return jax.jit(jax.vmap(one))(x)

    assert_same(third(trilinear_conv.convolve), third(conv.xla_conv))


def test_the_convolution_is_that_of_flax():
    for case in EVEN + UNEVEN:
        kernel, stride, *_, features = case
        x, weights = arguments(case, transposed=False)
        layer = nn.Conv(features, (kernel, kernel), stride, use_bias=False)
        theirs = layer.apply({"params": {"kernel": weights}}, x)
        assert_same(conv.xla_conv(x, weights, stride), theirs, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_transposed_convolution_is_the_adjoint(form):
    convolve, transpose = FORMS[form]
    images = [arguments(case, transposed=False) for case in EVEN]
    smaller = [arguments(case, transposed=True)[0] for case in EVEN]

    @jax.jit
    def both_ways(images, smaller):
        triples = zip(images, smaller, EVEN, strict=True)
        return [
            (convolve(x, weights, case[1]), transpose(y, weights.swapaxes(2, 3), case[1]))
            for (x, weights), y, case in triples
        ]

    results = both_ways(images, smaller)
    for (x, _), y, (forward, backward) in zip(images, smaller, results, strict=True):
        assert forward.shape == y.shape
        assert backward.shape == x.shape
        inner = np.vdot(forward, y)
        assert abs(inner) > 1e-2
        np.testing.assert_allclose(np.vdot(x, backward), inner, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", [(3, 1, 6, 6, 2, 3), (4, 2, 8, 6, 3, 2)], ids=str)
@pytest.mark.parametrize("module", [conv.Conv, conv.ConvTranspose])
def test_a_layer_gives_the_same_in_all_forms(module, case, monkeypatch):
    kernel, stride, *_ = case
    x, weights = arguments(case, transposed=module is conv.ConvTranspose)
    layer = module(weights.shape[-1], kernel, stride)
    params = {"params": {"kernel": weights, "bias": normal(5, weights.shape[-1])}}
    shapes = jax.tree.map(jnp.shape, params)
    outputs = {}
    for form in ("xla", "bands", "wide"):
        monkeypatch.setattr(conv, "prefers_bands", lambda *shape, bands=form == "bands": bands)
        with conv.only_xla() if form == "xla" else contextlib.nullcontext():
            assert jax.tree.map(jnp.shape, layer.init(jax.random.key(0), x)) == shapes
            program = str(jax.make_jaxpr(layer.apply)(params, x))
            outputs[form] = layer.apply(params, x)
        assert ("conv_general_dilated" in program) == (form == "xla")
        assert ("trilinear_conv" in program) == (form == "wide")
    assert_same(outputs["bands"], outputs["xla"])
    assert_same(outputs["wide"], outputs["xla"])


@pytest.mark.parametrize("module", [conv.Conv, conv.ConvTranspose])
def test_a_layer_adds_its_bias_to_every_pixel(module):
    x = normal(0, 2, 4, 4, 3)
    layer = module(5, kernel=3, stride=2)
    params = layer.init(jax.random.key(0), x)["params"]
    bias = normal(1, 5)
    without = layer.apply({"params": params}, x)
    difference = layer.apply({"params": params | {"bias": bias}}, x) - without
    assert_same(difference, jnp.broadcast_to(bias.reshape(1, 1, 1, 5), without.shape), atol=1e-12)


@pytest.mark.parametrize(
    "backend, width, channels, expected",
    [
        ("cpu", 6, 32, True),
        ("cpu", 8, 32, False),
        ("cpu", 300, 32, False),
        ("cpu", 6, 256, False),
        ("cpu", 4, 512, False),
        ("cpu", 3, 512, True),
        ("gpu", 6, 32, False),
        ("tpu", 6, 32, False),
    ],
)
def test_bands_are_for_narrow_images_of_few_channels_on_cpus(
    backend, width, channels, expected, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    shape = (3, 3, channels, channels)
    assert conv.prefers_bands(width, shape) is expected
    with conv.only_xla():
        assert not conv.prefers_bands(width, shape)
