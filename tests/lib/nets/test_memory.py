"""The memory of a differentiable neural computer against the paper's equations, slot by slot in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.nets import memory
from lib.nets.dnc import Dnc
from lib.nets.memory import Interface, Memory

N, W, R = 5, 3, 2
rng = np.random.default_rng(0)


def random_interface():
    """Returns an interface of random numbers, as NumPy arrays."""
    xi = jnp.asarray(rng.normal(size=Interface.width(W, R)) * 2)
    return jax.tree.map(np.asarray, Interface.of(xi, W, R))


def content(M, key, strength):
    """Computes C(M, k, beta)."""
    cosines = [row @ key / max(np.linalg.norm(row) * np.linalg.norm(key), 1e-6) for row in M]
    e = np.exp(strength * np.array(cosines))
    return e / e.sum()


def by_hand(state, x):
    """Follows the equations of the paper's Methods with loops over slots."""
    M, u, p, L, ww, wr = (np.array(a) for a in state)
    kept = [np.prod([1 - x.free_gates[h] * wr[h, i] for h in range(R)]) for i in range(N)]
    u = np.array([(u[i] + ww[i] - u[i] * ww[i]) * kept[i] for i in range(N)])
    soft = 1e-6 + (1 - 1e-6) * u
    phi = np.argsort(soft)
    a = np.zeros(N)
    for j in range(N):
        a[phi[j]] = (1 - soft[phi[j]]) * np.prod([soft[phi[i]] for i in range(j)])
    c = content(M, x.write_key, x.write_strength)
    w = x.write_gate * (x.allocation_gate * a + (1 - x.allocation_gate) * c)
    new_M, new_L = np.zeros_like(M), np.zeros_like(L)
    for i in range(N):
        for k in range(W):
            new_M[i, k] = M[i, k] * (1 - w[i] * x.erase[k]) + w[i] * x.write[k]
        for j in range(N):
            if i != j:
                new_L[i, j] = (1 - w[i] - w[j]) * L[i, j] + w[i] * p[j]
    new_p = (1 - w.sum()) * p + w
    reads, new_wr = [], []
    for h in range(R):
        forward, backward = new_L @ wr[h], new_L.T @ wr[h]
        c = content(new_M, x.read_keys[h], x.read_strengths[h])
        new_wr.append(x.read_modes[h] @ np.stack([backward, c, forward]))
        reads.append(new_wr[-1] @ new_M)
    return (new_M, u, new_p, new_L, w, np.array(new_wr)), np.array(reads)


@pytest.mark.usefixtures("float64")
def test_steps_are_those_of_the_equations():
    state = Memory(*(jnp.asarray(a, float) for a in Memory.empty(N, W, R)))
    expected = tuple(np.asarray(a) for a in state)
    step = jax.jit(memory.step)
    for _ in range(6):
        x = random_interface()
        expected, reads = by_hand(expected, x)
        state, found = step(state, x)
        np.testing.assert_allclose(found, reads, rtol=1e-6, atol=1e-9)
        for ours, theirs in zip(state, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
        # Weights are shares of slots, and links of a slot add up to no more than one.
        assert 0 <= float(state.write_weights.sum()) <= 1 + 1e-9
        assert float(state.link.sum(0).max()) <= 1 + 1e-9 >= float(state.link.sum(1).max())
        assert np.all(np.asarray(state.usage) <= 1 + 1e-9)
    assert np.abs(expected[3]).max() > 1e-3


@pytest.mark.usefixtures("float64")
def test_allocation_goes_to_free_slots():
    a = memory.allocation(jnp.array([1.0, 0.0, 0.5]))
    np.testing.assert_allclose(a, [0, 1, 0], atol=1e-5)
    a = memory.allocation(jnp.array([0.5, 0.5, 1.0]))
    np.testing.assert_allclose(sorted(np.asarray(a)), [0, 0.25, 0.5], atol=1e-5)
    np.testing.assert_allclose(memory.allocation(jnp.ones(4)), 0, atol=1e-5)


def test_gradients_are_finite_from_an_empty_memory_on():
    x = jnp.asarray(rng.normal(size=Interface.width(W, R)), jnp.float32)

    def read(x):
        state, reads = memory.step(Memory.empty(N, W, R), Interface.of(x, W, R))
        return jnp.sum(memory.step(state, Interface.of(x, W, R))[1] ** 2) + jnp.sum(reads)

    gradient = jax.grad(read)(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_the_published_network_has_as_many_parameters():
    """Counts LSTM, interface and output: 4 64 (6 + 64 + 64 + 1) + 65 135 + 129 5."""
    network = Dnc(hidden=64, slots=16, width=16, heads=4, outputs=5, clip=20.0)
    params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 9, 6)))
    assert sum(x.size for x in jax.tree.leaves(params)) == 43_980


def test_outputs_are_clipped_and_do_not_depend_on_other_sequences():
    network = Dnc(hidden=8, slots=4, width=3, heads=2, outputs=2, clip=0.1)
    x = jax.random.normal(jax.random.key(0), (3, 6, 4))
    params = network.init(jax.random.key(1), x)
    y = network.apply(params, x)
    assert y.shape == (3, 6, 2)
    assert float(jnp.abs(y).max()) == pytest.approx(0.1)
    np.testing.assert_allclose(network.apply(params, x[1:2])[0], y[1], rtol=1e-5, atol=1e-6)
    later = x.at[:, 4:].set(0.0)
    np.testing.assert_allclose(network.apply(params, later)[:, :4], y[:, :4], rtol=1e-5, atol=1e-6)
