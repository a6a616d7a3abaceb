"""report.html: one file with a sweep's tables, learning curves and samples, which opens without network."""

import base64
import contextlib
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd
from PIL import Image

from experiments.sweep import columns, frames, plots
from experiments.sweep.columns import Column
from experiments.sweep.sweep_folder import SEARCH, Sweep
from lib.runtime.files import replacing

_TEMPLATE = Path(__file__).with_name("report_template.html")
_CURVES = 8  # metrics with a picture each
_PAGE_BYTES = 2e6  # of all pictures of samples together
_LARGEST, _SMALLEST = 240, 96  # pixels of such a picture
_QUALITY = 70


def write(sweep: Sweep, runs: pd.DataFrame, path: Path) -> None:
    """Writes the report of a sweep.

    Args:
      sweep: what its runs have written.
      runs: `frames.per_run` of it.
      path: of the HTML file.
    """
    statuses, alike = columns.summary(runs)
    summary = f"config {sweep.config} · sweep {sweep.sweep} · {statuses}" + (
        f" · all with {alike}" if alike else ""
    )
    errors = [
        error if s == "failed" else "" for s, error in zip(runs["status"], runs["error"], strict=True)
    ]
    parts = {
        "Runs": _html_table(columns.run_columns(runs, programs=True), errors),
        "Mean ± standard deviation over seeds": _html_table(columns.statistics_columns(runs)),
        "Search": _pictures("curves", _of_search(sweep)),
        "Learning curves": _pictures("curves", _learning_curves(sweep, runs)),
        "Samples": _pictures("samples", _samples(sweep)),
    }
    body = "\n".join(f"<h2>{escape(title)}</h2>\n{html}" for title, html in parts.items() if html)
    page = Template(_TEMPLATE.read_text()).substitute(
        title=escape(f"Sweep {sweep.folder.resolve().name}"), summary=escape(summary), body=body
    )
    with replacing(path) as temporary:
        temporary.write_text(page)


def _html_table(table: Sequence[Column], errors: Sequence[str] = ()) -> str:
    """Returns a table that sorts by the columns' values; a failed run's error stands below its status."""
    if not table:
        return ""
    kinds = ["text" if any(isinstance(v, str) for v in column.values) else "" for column in table]
    head = "".join(
        f'<th scope="col" class="{kind}" title="{escape(column.name)}">'
        f"<button>{escape(column.title)}</button></th>"
        for column, kind in zip(table, kinds, strict=True)
    )
    rows = []
    for i in range(len(table[0].values)):
        error = errors[i] if errors else ""
        cells = []
        for column, kind in zip(table, kinds, strict=True):
            value, text = column.values[i], escape(column.texts[i])
            if column.name == "status":
                kind = "status text"
                text += f'<span class="error">{escape(error)}</span>' if error else ""
            value = "" if pd.isna(value) else escape(str(value))
            cells.append(f'<td class="{kind}" data-value="{value}">{text}</td>')
        rows.append(f'<tr class="{"failed" if error else ""}">{"".join(cells)}</tr>')
    body = "\n".join(rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )


def _pictures(kind: str, pictures: Iterable[tuple[str, bytes]]) -> str:
    """Returns pictures with captions below, from (caption, WebP)."""
    html = "\n".join(
        f'<figure><img alt="{escape(caption)}" loading="lazy" src="data:image/webp;base64,'
        f'{base64.b64encode(webp).decode()}">'
        f"<figcaption>{escape(caption).replace(',', ',<wbr>')}</figcaption></figure>"
        for caption, webp in pictures
    )
    return f'<div class="pictures {kind}">\n{html}\n</div>' if html else ""


def _of_search(sweep: Sweep) -> Iterable[tuple[str, bytes]]:
    """Reads the pictures of a search: its history, what matters, and all trials."""
    for path in sorted((sweep.folder / SEARCH).glob("*.png")):
        with contextlib.suppress(OSError), Image.open(path) as image:
            file = io.BytesIO()
            image.convert("RGB").save(file, format="webp", quality=_QUALITY)
            yield path.stem[2:], file.getvalue()


def _learning_curves(sweep: Sweep, runs: pd.DataFrame) -> Iterable[tuple[str, bytes]]:
    """Draws the main metrics against the step, a colour for each value of the first field that varies."""
    hue = next((f for f in frames.varying(runs, sweep.fields) if f != frames.SEED), None)
    several = [m for m in sweep.main_metrics if frames.per_record(sweep, m)[plots.STEP].nunique() > 1]
    for metric in several[:_CURVES]:
        file = io.BytesIO()
        plots.learning_curves(sweep, metric, hue).savefig(file, format="webp", dpi=100)
        yield metric, file.getvalue()


def _samples(sweep: Sweep) -> Iterable[tuple[str, bytes]]:
    """Reads each run's newest picture of samples, made small: the smaller, the more there are."""
    having = [run for run in sweep.runs if run.samples]
    side = _LARGEST
    for run in having:
        with contextlib.suppress(OSError):  # no page is lost with a damaged picture
            side, webp = _thumbnail(run.samples, side, _PAGE_BYTES / 4 * 3 / len(having))  # base64: 4 for 3
            yield run.name, webp


def _thumbnail(path: Path, side: int, most: float) -> tuple[int, bytes]:
    """Returns (side, WebP) of a picture of at most so many pixels a side and bytes, but no tiny one."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    while True:
        picture.thumbnail((side, side))
        file = io.BytesIO()
        picture.save(file, format="WEBP", quality=_QUALITY, method=1)
        if file.tell() <= most or side <= _SMALLEST:
            return side, file.getvalue()
        side = max(_SMALLEST, int(side * 0.8))
