"""How soon principal components are right: EigenGame from random vectors, against scikit-learn's PCA."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import timed
from lib import eigengame, optimizers
from lib.data.order import batch_indices
from lib.eigengame.pca.steps import step

_RATE = 0.5  # times 1 / lambda_1: of 0.15, 0.5 and 2 the quickest that is steady on MNIST and on digits
_CHECK_EVERY = 10  # steps of EigenGame


class Finish(NamedTuple):
    """Where one run ended.

    Attributes:
      seconds: of computation; evaluating the streak is not counted.
      batches: seen.
      streak: the longest one at any evaluation.
    """

    seconds: float
    batches: int
    streak: int


def race(
    rows: np.ndarray, k: int, batch_size: int, learning_rate: float, seeds: int, limit: float
) -> Iterator[list[str]]:
    """Yields rows of a table: the method, and for each seed the seconds until all k vectors are right.

    Right is a streak of k, each vector within pi / 8 of the exact one. Both methods see the same batches.

    Args:
      rows: [n, d], n at least the batch size.
      k: vectors, at most d and the batch size.
      batch_size: rows of a batch.
      learning_rate: EigenGame's; 0: 0.5 / lambda_1.
      seeds: of EigenGame's first vectors, and of the order of the rows.
      limit: seconds after which a run is stopped.
    """
    from sklearn.decomposition import PCA  # takes two seconds to import

    rows = np.asarray(rows - rows.mean(0), np.float32)
    exact = PCA(k)
    seconds = timed(lambda: exact.fit(rows))
    components = jnp.asarray(exact.components_)
    rate = learning_rate or _RATE / float(exact.explained_variance_[0])
    yield ["scikit-learn PCA, exact", f"{seconds:.2f} s"]

    methods = {
        f"EigenGame mu, learning rate {rate:.3g}": (eigengame_mu(rows, k, rate), _CHECK_EVERY),
        "scikit-learn IncrementalPCA": (incremental_pca(rows, k), 1),
    }
    for name, (start, every) in methods.items():
        ends = []
        for seed in range(seeds):
            order = functools.partial(batch_indices, len(rows), batch_size, seed)
            ends.append(until_right(start(seed, order(0)), order, components, every, limit))
        yield [name, *(_described(end, k) for end in ends)]


def until_right(
    learn: Callable[[np.ndarray], jax.Array],
    order: Callable[[int], np.ndarray],
    exact: jax.Array,
    every: int,
    limit: float,
) -> Finish:
    """Learns batch after batch until all vectors are right, or the time is over.

    Args:
      learn: `(indices [b]) -> vectors [k, d]`, after one more batch.
      order: `(step) -> indices [b]`.
      exact: the right components, [k, d].
      every: batches between two evaluations of the streak.
      limit: seconds.
    """
    seconds, batches, best = 0.0, 0, 0
    while seconds < limit and best < len(exact):
        for indices in [order(batches + i) for i in range(every)]:
            begun = time.perf_counter()
            vectors = learn(indices)
            seconds += time.perf_counter() - begun
        batches += every
        best = max(best, int(eigengame.longest_streak(vectors, exact)))
    return Finish(seconds, batches, best)


def eigengame_mu(rows: np.ndarray, k: int, learning_rate: float) -> Callable:
    """Returns EigenGame Unloaded on rows on the device, as `(seed, indices [b]) -> learn`.

    Its optimiser is SGD with Nesterov momentum 0.9.
    """
    optimizer = optimizers.make("sgd", learning_rate, {"momentum": 0.9, "nesterov": True})
    rows = jnp.asarray(rows)

    @jax.jit
    def program(vectors, opt_state, rows, indices):
        return step(eigengame.PCA_RULES["mu"], optimizer, vectors, opt_state, rows[indices])[:2]

    def start(seed: int, indices: np.ndarray):
        vectors = eigengame.initial_vectors(jax.random.key(seed), k, rows.shape[1])
        state = (vectors, eigengame.initial_optimizers(optimizer, vectors))
        jax.block_until_ready(program(*state, rows, indices))  # compiles

        def learn(indices: np.ndarray) -> jax.Array:
            nonlocal state
            state = jax.block_until_ready(program(*state, rows, indices))
            return state[0]

        return learn

    return start


def incremental_pca(rows: np.ndarray, k: int) -> Callable:
    """Returns scikit-learn's IncrementalPCA: `(seed, indices [b]) -> learn`."""
    from sklearn.decomposition import IncrementalPCA  # takes two seconds to import

    def start(seed: int, indices: np.ndarray):
        del seed, indices  # it has no random start, and nothing to compile
        model = IncrementalPCA(k)
        return lambda indices: model.partial_fit(rows[indices]).components_

    return start


def _described(end: Finish, k: int) -> str:
    """Returns when a run was right, or that it was not."""
    if end.streak == k:
        return f"{end.seconds:.2f} s, {end.batches:,} batches"
    return f"not reached in {end.seconds:.0f} s (streak {end.streak})"
