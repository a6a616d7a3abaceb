"""Tables that several papers' files have: means over seeds of some metrics, a row for each method."""

from collections.abc import Callable, Mapping

from analysis.reproduce.paper import Label
from analysis.reproduce.results import Results

Rows = list[tuple[str, ...]]


def of_methods(
    training: str, metrics: Mapping[str, str], head: str = "method"
) -> Callable[[Results], Rows]:
    """Returns what makes a table of the last values of metrics, a row for each method of a training.

    Args:
      metrics: {head of the column: metric}.
      head: of the first column.
    """

    def table(results: Results) -> Rows:
        rows = [(head, *metrics)]
        for label in results.figure.trainings[training].methods:
            rows.append((text(label), *(str(results.last(training, label, m)) for m in metrics.values())))
        return rows

    return table


def text(label: Label) -> str:
    """Formats a method's label."""
    return ", ".join(map(text, label)) if isinstance(label, tuple) else str(label)
