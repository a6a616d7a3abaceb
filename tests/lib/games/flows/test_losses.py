"""Flows against closed forms, against the iterates they model, and the order with which they leave them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.errors import ConfigError
from lib.games import flows
from lib.games.flows import FLOWS, FlowError

pytestmark = pytest.mark.usefixtures("float64")

THREE = ("gradient_flow", "igr", "principal_flow")
START = np.array([0.9, -0.6, 0.4, 0.7])


def rotated(*eigenvalues) -> np.ndarray:
    """Makes a symmetric matrix with these eigenvalues and eigenvectors of no particular direction."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(eigenvalues), len(eigenvalues))))
    return q @ np.diag(eigenvalues) @ q.T


def nonlinear(theta):
    """Returns an analytic loss with all second and third derivatives different from zero."""
    x, y = theta
    return jnp.exp(0.5 * x) * jnp.cos(y) + 0.3 * x**2 * y + 0.2 * y**4


QUADRATICS = {
    "diagonal": np.diag([1.0, 0.3, 0.01, 0.0]),
    "rotated": rotated(1.0, 0.3, 0.01, 0.0),
    "degenerate": rotated(1.0, 1.0, 0.3, 0.3),
    "indefinite": rotated(1.0, 0.3, -0.2, 0.0),
    "paper": 2 * np.diag([1, 0.01]),
    "one": np.eye(1),
}


@functools.cache  # flows are compiled once for each loss
def quadratic(name):
    """Makes the loss theta^T A theta / 2 of one of QUADRATICS."""
    return lambda theta: theta @ (jnp.asarray(QUADRATICS[name]) @ theta) / 2


@pytest.mark.parametrize("h", [0.2, 0.7, 1.0, 1.3, 1.9, 2.0, 2.3])  # h lam of the top eigenvalue
@pytest.mark.parametrize("name", ["diagonal", "rotated", "degenerate", "indefinite"])
def test_principal_flow_passes_through_every_iterate_on_a_quadratic(name, h):
    loss = quadratic(name)
    iterates = flows.gradient_descent(loss, h, START, 12)
    assert np.abs(iterates[-1] - START).max() > 0.3
    np.testing.assert_allclose(
        flows.loss_positions("principal_flow", loss, h, START, 12), iterates, rtol=0, atol=1e-6
    )
    assert np.abs(flows.loss_positions("igr", loss, h, START, 12) - iterates).max() > 1e-3


@pytest.mark.parametrize(("h", "steps"), [(0.2, 100), (0.5, 20), (0.9, 200), (1.05, 5)])
def test_the_quadratic_of_the_paper(h, steps):
    # x^T A x, A = diag(1, 0.01): h lam is 2 h; steps that jump over the minimum, and that diverge.
    loss, start = quadratic("paper"), [-0.35, -0.2]
    iterates = flows.gradient_descent(loss, h, start, steps)
    n = np.arange(steps + 1)[:, None]
    np.testing.assert_allclose(iterates, start * (1 - h * np.array([2, 0.02])) ** n, atol=1e-13)
    distance = {
        name: np.abs(flows.loss_positions(name, loss, h, start, steps) - iterates).max() for name in THREE
    }
    assert distance["principal_flow"] < 1e-9
    assert min(distance["gradient_flow"], distance["igr"]) > 1e6 * distance["principal_flow"]


@pytest.mark.parametrize("h", [0.3, 1.3])
def test_closed_forms_between_the_iterates_of_a_quadratic(h):
    """Compares with exp(t r(h H) H) theta(0), r = -1 or -(1 + z/2), and with (1 - h lam)^(t/h)."""
    lam, u = np.linalg.eigh(QUADRATICS["rotated"])
    times = np.array([0.0, 0.37, 1.1, 4.2])

    def solution(rate):
        return np.exp(np.outer(times, rate)) * (u.T @ START) @ u.T

    def of(name):
        return flows.integrate(FLOWS[name](quadratic("rotated"), h), START, times)

    np.testing.assert_allclose(of("gradient_flow"), solution(-lam), atol=1e-9)
    np.testing.assert_allclose(of("igr"), solution(-(1 + h * lam / 2) * lam), atol=1e-9)
    expected = (1 - h * lam + 0j) ** (times[:, None] / h) * (u.T @ START) @ u.T
    np.testing.assert_allclose(of("principal_flow"), expected, atol=1e-9)
    assert (np.abs(expected.imag).max() > 0.1) == (h > 1)


def test_principal_coefficient():
    z = np.array([-3.0, -1e-3, 1e-3, 0.5, 0.999, 1.001, 1.5, 1.999, 2.001, 5.0])
    r = flows.principal_coefficient(z)
    np.testing.assert_allclose(np.exp(z * r), 1 - z, rtol=1e-12)
    np.testing.assert_allclose(r, np.emath.log(1 - z) / z, rtol=1e-12)
    assert ((r.real > 0) == (z > 2)).all()  # unstable where gradient descent diverges
    assert ((r.imag != 0) == (z > 1)).all()
    # Its series -(1 + z/2 + z^2/3 + ..), where 1 - z has lost most digits of z.
    small = np.array([0.0, 1e-300, 1e-12, -1e-9, 1e-6])
    np.testing.assert_allclose(
        flows.principal_coefficient(small), -(1 + small / 2 + small**2 / 3), rtol=1e-15
    )
    assert abs(np.exp(flows.principal_coefficient(1.0))) < 1e-15
    # Smooth across real arguments on either side of 1, where the principal logarithm jumps by 2 pi.
    above, below = (flows.principal_coefficient(z + 1e-9j * side) for side in (1, -1))
    np.testing.assert_allclose(above, below, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "order"),
    [("gradient_flow", 2), ("igr", 3), ("principal_flow", 3), ("principal_flow_third_order", 4)],
)
def test_order_of_the_local_error(name, order):
    sizes, errors = np.array([0.02, 0.01, 0.005]), []
    for h in sizes:
        step = flows.gradient_descent(nonlinear, h, [0.7, -0.4], 1)[1]
        errors.append(np.linalg.norm(flows.loss_positions(name, nonlinear, h, [0.7, -0.4], 1)[1] - step))
    assert np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("theta", [np.array([0.7, -0.4]), np.array([0.7 + 0.3j, -0.4 + 0.8j])])
@pytest.mark.parametrize("h", [0.05, 0.2])
def test_principal_flow_equals_its_series(theta, h):
    # -(g + (h/2) H g + (h^2/3) H H g + ..) and the third derivative, at complex theta too
    x, y = theta
    e, c, s = np.exp(0.5 * x), np.cos(y), np.sin(y)
    g = np.array([0.5 * e * c + 0.6 * x * y, -e * s + 0.3 * x**2 + 0.8 * y**3])
    mixed = -0.5 * e * s + 0.6 * x
    H = np.array([[0.25 * e * c + 0.6 * y, mixed], [mixed, -e * c + 2.4 * y**2]])
    assert 0.01 < h * np.abs(np.linalg.eigvals(H)).max() < 0.75
    series = -sum(np.linalg.matrix_power(h * H, k) @ g / (k + 1) for k in range(120))
    np.testing.assert_allclose(FLOWS["principal_flow"](nonlinear, h)(theta), series, rtol=1e-10)
    xxx, xxy = 0.125 * e * c, -0.25 * e * s + 0.6
    xyy, yyy = -0.5 * e * c, e * s + 4.8 * y
    third = np.array(
        [
            xxx * g[0] ** 2 + 2 * xxy * g[0] * g[1] + xyy * g[1] ** 2,
            xxy * g[0] ** 2 + 2 * xyy * g[0] * g[1] + yyy * g[1] ** 2,
        ]
    )
    with_third = FLOWS["principal_flow_third_order"](nonlinear, h)(theta)
    added = with_third - FLOWS["principal_flow"](nonlinear, h)(theta)
    np.testing.assert_allclose(added, -(h**2) / 12 * third, rtol=1e-9)
    np.testing.assert_allclose(FLOWS["igr"](nonlinear, h)(theta), -(g + h / 2 * H @ g), rtol=1e-12)


def test_a_path_above_one_goes_round_smoothly_where_the_loss_is_not_quadratic():
    # With the principal logarithm the field jumps at every real place with h lam > 1, and the flow stops.
    def loss(theta):
        return (theta[0] ** 2 - 1) ** 2 / 4

    iterates = flows.gradient_descent(loss, 0.7, [0.3], 30)  # h lam = 1.4 at the minimum 1
    path = flows.loss_positions("principal_flow", loss, 0.7, [0.3], 30)
    assert np.abs(path.imag).max() > 1e-3
    assert np.abs(path - iterates).max() < 0.06
    assert path[-1] == pytest.approx(1, abs=1e-5)


def test_flows_that_run_away_or_are_not_finite_are_refused():

    def blow_up(theta):
        return -(theta[0] ** 3)  # theta' = 3 theta^2 leaves every bound at time 1/3

    assert flows.loss_positions("gradient_flow", blow_up, 0.1, [1.0], 3)[-1] == pytest.approx(10, rel=1e-8)
    with pytest.raises(FlowError, match=r"the flow from \[1.\] stopped after time 0.3 of 0.5.*fewer steps"):
        flows.loss_positions("gradient_flow", blow_up, 0.1, [1.0], 5)
    with pytest.raises(FlowError, match="its velocity is not finite"):
        flows.loss_positions("igr", lambda theta: jnp.log(theta[0]), 0.1, [0.0], 5)
    with pytest.raises(
        ConfigError, match="flow: unknown name 'principle_flow'; did you mean 'principal_flow'"
    ):
        flows.loss_positions("principle_flow", blow_up, 0.1, [1.0], 5)


def test_a_flow_that_takes_for_ever_is_refused(monkeypatch):
    monkeypatch.setattr("lib.games.flows.integration._MAX_EVALUATIONS", 1000)
    assert flows.loss_positions("igr", quadratic("one"), 1.0, [1.0], 20).shape == (21, 1)
    with pytest.raises(FlowError, match="of 2e.*: 1,000 evaluations"):
        flows.loss_positions("igr", quadratic("one"), 1.0, [1.0], 20000)


def test_float64_whatever_the_caller_s_precision():
    with jax.enable_x64(False):
        path = flows.loss_positions("igr", nonlinear, 0.1, [0.7, -0.4], 3)
    np.testing.assert_array_equal(path, flows.loss_positions("igr", nonlinear, 0.1, [0.7, -0.4], 3))
    assert flows.loss_positions("igr", nonlinear, 0.1, [0.7, -0.4], 0).shape == (1, 2)
