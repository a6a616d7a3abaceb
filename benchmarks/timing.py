"""How long pieces of work take, measured side by side on a machine that does other things too."""

import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

_SQUARES = (512, 1024, 2048)  # small ones find a quiet moment on a busy machine, large ones suit many cores
# Seconds in which the threads of a numerical library, which spin after their work, fall asleep.
_PAUSE = 0.05


def timed(work: Callable[[], object]) -> float:
    """Returns the seconds that one call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_turns(
    works: Mapping[str, Callable[[], object]], rounds: int, at_least: float = 0.0
) -> dict[str, list[float]]:
    """Returns the seconds of each call of each piece of work: {name: [at least `rounds` numbers]}.

    Turns let what else the machine does slow all of them alike.

    Args:
      works: calls that wait for their result; each turn begins with one more call that is not counted.
      rounds: turns of each.
      at_least: seconds that a turn takes, by more calls where one is shorter.
    """
    seconds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            time.sleep(_PAUSE)
            work()
            turn = [timed(work)]
            while sum(turn) < at_least:
                turn.append(timed(work))
            seconds[name] += turn
    return seconds


def compiled(function: Callable, *args) -> Callable[[], object]:
    """Returns a call of the compiled function with these arguments that waits for its result."""
    program = jax.jit(function).lower(*args).compile()
    return lambda: jax.block_until_ready(program(*args))


def square_products() -> dict[int, Callable[[], object]]:
    """Returns {n: a float32 matrix product [n, n] [n, n]}.

    Each has 2 n^3 operations; the best rate is the machine's peak.
    """
    return {n: compiled(lambda a: a @ a, jnp.ones((n, n))) for n in _SQUARES}


def peak() -> float:
    """Returns the floating-point operations per second of the fastest float32 matrix product here."""
    seconds = in_turns(square_products(), rounds=5)
    return max(2 * n**3 / min(seconds[n]) for n in seconds)
