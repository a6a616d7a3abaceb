"""Does figures one after the other, says how each claim came out, and keeps the page up to date."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from analysis.reproduce import page, work
from analysis.reproduce.paper import Figure, Paper, Scale
from analysis.reproduce.records import FAILS, HOLDS, NOT_RUN, FigureRecord
from lib.runtime import cache


def run(chosen: Sequence[tuple[Paper, Figure]], scale: Scale, out: Path, jobs: int) -> int:
    """Does figures; returns 0 if all was run, 1 if something could not be, 130 after Ctrl-C."""
    cache.use_compilation_cache()
    done: list[FigureRecord] = []
    try:
        for paper, figure in chosen:
            print(f"\n== {paper.name}/{figure.name}: {figure.title}", flush=True)
            done.append(work.do(paper, figure, scale, out, jobs))
            print(verdicts(done[-1]), flush=True)
            page.write(page.read(out, scale), scale, page.path(out, scale))
    except (work.Stopped, KeyboardInterrupt):
        print("the same command goes on with what is missing")
        return 130
    counts = Counter(claim.verdict for record in done for claim in record.claims)
    print(f"\nclaims: {', '.join(f'{counts[v]} {v}' for v in (HOLDS, FAILS, NOT_RUN))}")
    print(f"page  {page.path(out, scale)}")
    return int(any(record.problem for record in done))


def verdicts(record: FigureRecord) -> str:
    """Formats how a figure's claims came out."""
    lines = [f"  {claim.verdict:8} {claim.name}: {claim.ours}" for claim in record.claims]
    if record.problem:
        lines.append(f"  {record.problem}")
    return "\n".join([*lines, f"  {record.minutes:.1f} min, {record.megabytes:.0f} MB"])
