"""The inverse and ICA against dense matrices, and the Eckart-Young direction, float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.eigengame.generalized import directions, exact, problems
from lib.eigengame.generalized.products import Products, products
from lib.eigengame.players import Players

N, D, K, EPSILON = 60, 5, 3, 0.2
pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    return generator.laplace(size=(N, D)) @ generator.standard_normal((D, D))


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(1).standard_normal((K, D))


def dense(problem: str, rows):
    """Returns (the problem, A, B) of rows, from their formulas."""
    c = rows.T @ rows / len(rows)
    b = c + EPSILON * np.eye(D)
    if problem == "inverse":
        return problems.Inverse(EPSILON), np.eye(D), b
    fourth = np.einsum("n,ni,nj->ij", (rows**2).sum(1), rows, rows) / len(rows)
    return problems.Ica(EPSILON, -1.0), -(fourth - np.trace(c) * c - 2 * c @ c), b


@pytest.mark.parametrize("name", ("inverse", "ica"))
def test_matrices_of_a_set_in_parts_are_those_of_the_formulas(name, rows):
    problem, a, b = dense(name, rows)
    for found, expected in zip(exact.matrices(problem, np.split(rows, [7, 40]), N), (a, b), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ("inverse", "ica"))
def test_grams_are_those_of_the_vectors(name, rows, vectors):
    problem, a, b = dense(name, rows)
    moments = problem.moments(jnp.asarray(vectors), jnp.asarray(rows), jnp.full(N, 1 / N))
    for found, matrix in zip(problem.grams(moments), (a, b), strict=True):
        np.testing.assert_allclose(found, vectors @ matrix @ vectors.T, rtol=1e-10, atol=1e-11)


def test_products_of_ica_are_unbiased(rows, vectors):
    """Takes the mean over all batches of two rows, drawn with replacement: one for each factor."""
    few = rows[:6]
    problem, a, b = dense("ica", few)
    pairs = jnp.asarray(list(itertools.product(few, few)))
    found = jax.vmap(lambda batch: problem(jnp.asarray(vectors), batch))(pairs)
    for mean, matrix in zip(found, (a, b), strict=True):
        np.testing.assert_allclose(mean.mean(0), vectors @ matrix, rtol=1e-10, atol=1e-10)
    # The mean of whole batches' own products is another one: their factors are of the same rows.
    c = np.einsum("bni,bnj->bij", pairs, pairs) / 2
    same = np.einsum("kd,bdi,bij->bkj", vectors, c, c).mean(0)
    assert np.abs(same - vectors @ (few.T @ few / 6) @ (few.T @ few / 6)).max() > 0.1


def test_the_inverse_is_the_sum_over_all_eigenvectors(rows):
    problem, _, b = dense("inverse", rows)
    pairs = exact.exact_eigenpairs(problem, [rows], N, D)
    np.testing.assert_allclose(pairs.eigenvectors.T @ pairs.eigenvectors, np.linalg.inv(b), rtol=1e-9)
    np.testing.assert_allclose(pairs.eigenvalues, np.sort(1 / np.linalg.eigvalsh(b))[::-1], rtol=1e-9)


def test_components_unmix_independent_sources():
    """Takes all combinations of the sources' values, so that they are independent in the sample itself."""
    values = [np.array([-1.0, 1.0]), np.array([-2.0, 0, 0, 0, 0, 0, 0, 2.0]), np.array([-1.5, -1, 1, 1.5])]
    sources = np.array(list(itertools.product(*values)))
    sources /= sources.std(0)
    mixing = np.random.default_rng(2).standard_normal((3, 3))
    rows = sources @ mixing.T
    kurtosis = (sources**4).mean(0) - 3
    expected = kurtosis * (mixing**2).sum(0)
    order = np.argsort(-expected)
    pairs = exact.exact_eigenpairs(problems.Ica(0.0), [rows], len(rows), 3)
    np.testing.assert_allclose(pairs.eigenvalues, expected[order], rtol=1e-9, atol=1e-9)
    unmixing = np.linalg.inv(mixing)[order]
    np.testing.assert_allclose(np.abs(pairs.eigenvectors), np.abs(unmixing), rtol=1e-7, atol=1e-9)


def test_the_eckart_young_direction_is_minus_a_quarter_of_the_gradient(rows, vectors):
    _, a, b = dense("ica", rows)

    def loss(v):
        return -2 * jnp.trace(v @ a @ v.T) + jnp.sum((v @ b @ v.T) ** 2)

    players = Players.gathered(jnp.asarray(vectors))
    half = Products.of(players, vectors @ a, vectors @ b)
    found = directions.eckart_young((half, half))
    np.testing.assert_allclose(found, -jax.grad(loss)(jnp.asarray(vectors)) / 4, rtol=1e-10)


def test_the_eckart_young_direction_crosses_the_halves(rows, vectors):
    problem = problems.cca(2, 0.1)
    halves = products(problem, jnp.asarray(vectors), jnp.asarray(rows))
    (a1, b1), (a2, b2) = (problem(jnp.asarray(vectors), jnp.asarray(rows[i::2])) for i in range(2))
    grams = [b @ vectors.T for b in (b1, b2)]
    expected = (a1 + a2 - grams[0] @ b2 - grams[1] @ b1) / 2
    np.testing.assert_allclose(directions.eckart_young(halves), expected, rtol=1e-10, atol=1e-12)
