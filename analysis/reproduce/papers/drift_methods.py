"""Methods against the drift of simultaneous SGD: what is checked and shown of them, on whatever data."""

from collections.abc import Callable

from analysis.reproduce.findings import all_of, less, ranks
from analysis.reproduce.paper import Finding
from analysis.reproduce.results import Mean, Results

AS_IT_IS, CANCELLED = "drift as it is", "cancelled"
RIVALS = ("consensus", "SGA", "ODE-GAN")
Means = Callable[[Results], dict[str, Mean]]  # {method: Frechet distance}
Check = Callable[[Results], Finding]


def nearer(means: Means, first: str, second: str) -> Check:
    """Returns a check that the first method has the smaller Frechet distance."""

    def check(results: Results) -> Finding:
        of = means(results)
        return less(f"distance {first}", of[first], second, of[second])

    return check


def rivals_help(means: Means) -> Check:
    """Returns a check that every rival has a smaller distance than SGD whose drift is left."""

    def check(results: Results) -> Finding:
        of = means(results)
        return all_of(*(less(x, of[x], AS_IT_IS, of[AS_IT_IS]) for x in RIVALS))

    return check


def cancelling_is_best(means: Means) -> Check:
    """Returns a check that cancelling has a smaller distance than SGD as it is and all rivals."""

    def check(results: Results) -> Finding:
        of = means(results)
        return ranks(CANCELLED, {x: of[x] for x in (AS_IT_IS, CANCELLED, *RIVALS)}, 1)

    return check


def table(
    scores: Callable[[Results], dict[str, Mean]], distances: Means
) -> Callable[[Results], list[tuple[str, ...]]]:
    """Returns what makes a table of scores and distances, a row for each method."""

    def rows(results: Results) -> list[tuple[str, ...]]:
        a, b = scores(results), distances(results)
        return [("method", "score", "Frechet distance"), *((x, str(a[x]), str(b[x])) for x in a)]

    return rows
