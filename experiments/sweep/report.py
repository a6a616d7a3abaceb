"""report.html: one file with a sweep's tables, learning curves and samples, which opens without network."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd
from PIL import Image

from experiments.sweep import columns, frames, plots
from experiments.sweep.columns import Column
from experiments.sweep.sweep_folder import Sweep
from lib.runtime.files import replacing

_TEMPLATE = Path(__file__).with_name("report_template.html")
_CURVES = 8  # metrics with a picture each
_SAMPLES = 240  # pixels: larger sample grids are made smaller, to keep the file light


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
        "Runs": _html_table(columns.run_columns(runs), errors),
        "Mean ± standard deviation over seeds": _html_table(columns.statistics_columns(runs)),
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
    """Returns pictures with captions below, from (caption, PNG)."""
    html = "\n".join(
        f'<figure><img alt="{escape(caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        f"<figcaption>{escape(caption).replace(',', ',<wbr>')}</figcaption></figure>"
        for caption, png in pictures
    )
    return f'<div class="pictures {kind}">\n{html}\n</div>' if html else ""


def _learning_curves(sweep: Sweep, runs: pd.DataFrame) -> Iterable[tuple[str, bytes]]:
    """Draws the main metrics against the step, a colour for each value of the first field that varies."""
    hue = next((f for f in frames.varying(runs, sweep.fields) if f != frames.SEED), None)
    several = [m for m in sweep.main_metrics if frames.per_record(sweep, m)[plots.STEP].nunique() > 1]
    for metric in several[:_CURVES]:
        png = io.BytesIO()
        plots.learning_curves(sweep, metric, hue).savefig(png, format="png", dpi=100)
        yield metric, png.getvalue()


def _samples(sweep: Sweep) -> Iterable[tuple[str, bytes]]:
    """Reads each run's newest picture of samples, made small."""
    for run in sweep.runs:
        if run.samples:
            with Image.open(run.samples) as image:
                image.thumbnail((_SAMPLES, _SAMPLES))
                png = io.BytesIO()
                image.save(png, format="PNG", optimize=True)
            yield run.name, png.getvalue()
