"""The central flow against closed forms, dense derivatives, the gradient flow and gradient descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_network import loss as network_loss
from small_network import place

from lib.games import flows
from lib.games.flows import FlowError, curvature
from lib.games.flows.central import central_flow, curvature_slopes

pytestmark = pytest.mark.usefixtures("float64")
H = 0.1
PUSH = (0.03, 0.02)
SHARPENING = {3, 4}  # seeds of places of the network from where the gradient flow sharpens


def valleys(theta):
    """Returns sum_i exp(y_i) x_i^2 / 2 - c_i y_i, whose valley x = 0 has the curvatures exp(y_i).

    The flow along its floor sharpens it for ever: y_i' = c_i. At exp(y_i) = 2/h the oscillation must have
    the variance c_i h, for y_i' = c_i - exp(y_i) x_i^2 / 2.
    """
    x, y = theta[:2], theta[2:]
    return jnp.sum(jnp.exp(y) * x**2 / 2 - jnp.asarray(PUSH) * y)


def follow(loss, start, steps, **options):
    """Returns the points of the central flow, stacked."""
    return jax.tree.map(lambda *x: np.stack(x), *central_flow(loss, H, start, steps, **options))


def test_each_eigenvalue_rises_to_the_edge_and_stays_there():
    edge, n = np.log(2 / H), np.arange(101)
    points = follow(valleys, [0.0, 0.0, edge - 0.03, edge - 0.04], 100, k=4)
    # y_i = c_i t from its start, up to the edge: 10 steps and 20.
    np.testing.assert_allclose(points.position[:, 2], np.minimum(edge - 0.03 + 0.003 * n, edge), atol=1e-6)
    np.testing.assert_allclose(points.position[:, 3], np.minimum(edge - 0.04 + 0.002 * n, edge), atol=1e-6)
    assert points.eigenvalues.max() < 2 / H * (1 + 1e-6)
    np.testing.assert_allclose(points.variance[:9], 0)
    np.testing.assert_allclose(points.variance[11:19], H * PUSH[0], rtol=1e-6)
    np.testing.assert_allclose(points.variance[21:], H * sum(PUSH), rtol=1e-6)
    assert points.critical.tolist() == [0] + 6 * [1] + 94 * [2]  # above 0.975 (2/h)
    last = points._replace(**{name: value[-1] for name, value in points._asdict().items()})
    assert last.mean_loss == pytest.approx(last.loss + sum(PUSH), rel=1e-6)
    assert last.mean_squared_gradient == pytest.approx(np.square(PUSH).sum() + 4 / H * sum(PUSH), rel=1e-6)


def test_gradient_descent_oscillates_about_the_central_flow_with_its_variance():
    edge, steps = np.log(2 / H), 240
    start = [*(0.9 * np.sqrt(H * np.array(PUSH))), edge, edge]
    iterates = flows.gradient_descent(valleys, H, start, steps)
    assert iterates[:, 2:].std(0).min() > 0.002  # it does not stand still
    last = follow(valleys, [0.0, 0.0, edge, edge], 20, k=4)
    np.testing.assert_allclose(iterates.mean(0), last.position[-1], atol=0.005)
    assert (iterates[:, :2] ** 2).sum(1).mean() == pytest.approx(last.variance[-1], rel=0.05)
    losses = jax.vmap(valleys)(iterates)
    assert losses.mean() == pytest.approx(last.loss[-1] + last.variance[-1] / H, rel=0.02)
    flow = flows.loss_positions("gradient_flow", valleys, H, [0.0, 0.0, edge, edge], steps)[-1]
    assert flow[2] > edge + 0.5  # the gradient flow is far up the valley by then


def test_below_the_edge_it_is_the_gradient_flow():
    start, steps = place(), 20
    top = curvature.largest(network_loss, start, 1).values[0]
    h = float(0.5 / top)
    exact = flows.loss_positions("gradient_flow", network_loss, h, start, steps)[-1]
    errors = []
    for substeps in (8, 16):
        *_, last = central_flow(network_loss, h, start, steps, k=2, substeps=substeps)
        assert last.variance == 0
        errors.append(np.linalg.norm(last.position - exact))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)  # of Euler's first order
    assert errors[1] < 0.02 * np.linalg.norm(exact - start)


@pytest.mark.parametrize("k", [1, 3])
def test_the_slopes_are_the_dense_third_derivative(k):
    theta = place()
    vectors = curvature.largest(network_loss, theta, k).vectors
    dense = jax.jacfwd(jax.hessian(network_loss))(theta)  # [d, d, d]
    expected = jnp.einsum("ia,jb,abc->ijc", vectors, vectors, dense)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(curvature_slopes(network_loss, theta, vectors), expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(1, 5))
def test_one_eigenvalue_has_the_published_variance(seed):
    """Compares a substep at the edge with -2 <grad L, grad lam> / |grad lam|^2, and its velocity."""
    theta = place(seed)

    def sharpness(t):
        return jnp.linalg.eigvalsh(jax.hessian(network_loss)(t))[-1]

    value, slope = jax.value_and_grad(sharpness)(theta)
    g, h = jax.grad(network_loss)(theta), float(2 / value)
    first, second = central_flow(network_loss, h, theta, 1, k=6, substeps=1)
    expected = max(0.0, float(-2 * g @ slope / (slope @ slope)))
    assert first.variance == pytest.approx(expected, rel=1e-6, abs=1e-8)
    assert (expected > 0) == (seed in SHARPENING)
    np.testing.assert_allclose(
        (second.position - first.position) / h, -(g + expected * slope / 2), atol=1e-6
    )


def test_a_flow_that_runs_off_is_refused():
    with pytest.raises(FlowError, match="not finite after .* of 60 steps"):
        list(central_flow(lambda theta: -jnp.sum(theta**4), 0.1, [2.0, 1.0], 60, k=1))
