"""How scores are shown: a table on the terminal."""

from collections.abc import Mapping, Sequence

from lib.tables import aligned, mean_and_spread

_NOT_SHOWN = ("network", "network_checksum", "resize", "classes")


def table(records: Sequence[Mapping]) -> str:
    """Records as aligned columns; a `<name>_std` stands behind its mean as +-."""
    names = [n for n in records[0] if n not in _NOT_SHOWN and not n.endswith("_std")]
    rows = [names] + [[_cell(record, name) for name in names] for record in records]
    return aligned(rows)


def shares(counts: Sequence[int]) -> str:
    """How often each class is the most likely one, in percent; only the ten most frequent of many."""
    total = sum(counts)
    order = sorted(range(len(counts)), key=lambda c: -counts[c])[:10]
    order = order if len(counts) > 10 else sorted(order)
    return "  ".join(f"{c}: {100 * counts[c] / total:.0f}%" for c in order)


def _cell(record: Mapping, name: str) -> str:
    value = record[name]
    if isinstance(value, float):
        return mean_and_spread(value, record.get(f"{name}_std", 0.0))
    return f"{value:,}" if isinstance(value, int) else value
