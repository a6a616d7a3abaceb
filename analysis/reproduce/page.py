"""The page of all figures that were reproduced: index.html, one file without network, and index.md."""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from PIL import Image

from analysis.reproduce import records
from analysis.reproduce.paper import Figure, Paper, Scale
from analysis.reproduce.papers import PAPERS, load
from analysis.reproduce.records import FAILS, HOLDS, NOT_RUN, CheckedClaim, FigureRecord
from lib.runtime.files import replacing

_TEMPLATE = Path(__file__).with_name("page_template.html")
_COLOURS, _WIDTH = 64, 900  # of pictures in the page: a palette, and pixels at most


class Done(NamedTuple):
    """A figure, and what came out of it; None: it was not begun at this scale."""

    paper: Paper
    figure: Figure
    record: FigureRecord | None
    folder: Path


def path(out: Path, scale: Scale) -> Path:
    """Returns where the page of a scale is: OUT/index.html of the laptop's, OUT/<scale>.html of others."""
    return out / ("index.html" if scale == Scale.LAPTOP else f"{scale}.html")


def read(out: Path, scale: Scale) -> list[Done]:
    """Reads what came out of all figures at a scale, whatever of it is there."""
    done = []
    for paper in map(load, PAPERS):
        for figure in paper.figures:
            folder = records.folder_of(out, scale, paper.name, figure.name)
            done.append(Done(paper, figure, records.read(folder), folder))
    return done


def write(done: Sequence[Done], scale: Scale, file: Path) -> None:
    """Writes the page of figures as HTML, and as Markdown beside it."""
    texts = {file: html(done, scale), file.with_suffix(".md"): markdown(done, scale, file.name)}
    for name, text in texts.items():
        with replacing(name) as temporary:
            temporary.write_text(text)


def counts(done: Sequence[Done]) -> Counter[str]:
    """Counts verdicts; claims of figures that were not begun are not run."""
    return Counter(claim.verdict for each in done for claim in _claims(each))


def _claims(each: Done) -> list[CheckedClaim]:
    if each.record:
        return each.record.claims
    return [CheckedClaim(name=c.name, paper=c.paper, ours="", verdict=NOT_RUN) for c in each.figure.claims]


def _summary(done: Sequence[Done], scale: Scale) -> str:
    found = counts(done)
    minutes = sum(each.record.minutes for each in done if each.record)
    return (
        f"scale {scale} · {found[HOLDS]} claims hold, {found[FAILS]} fail, {found[NOT_RUN]} were not run · "
        f"{minutes / 60:.1f} hours in all"
    )


def _by_paper(done: Sequence[Done]) -> Iterator[tuple[Paper, list[Done]]]:
    for paper in dict.fromkeys(each.paper.name for each in done):
        of_paper = [each for each in done if each.paper.name == paper]
        yield of_paper[0].paper, of_paper


def _about(figure: Figure, record: FigureRecord) -> str:
    """Returns where and when a figure was made, and of how many seeds, as one line."""
    scale = Scale(record.scale)
    seeds = "; ".join(
        f"{name}: {training.describe_seeds(scale)}"
        for name, training in figure.trainings.items()
        if training.runs(scale)
    )
    made, machine = record.made, record.made.machine
    commits = f"commit {', '.join(made.commits)}" if made.commits else ""
    if commits and record.checked not in made.commits:
        commits += f" (checked at {record.checked})"
    cores = f"{machine['cores']} cores" if "cores" in machine else ""
    processor = machine.get("processor", machine.get("kind", ""))
    where = (made.date, commits, cores, processor, f"JAX {machine.get('JAX', '')}")
    cost = (f"{record.minutes:.1f} min", f"{record.megabytes:.0f} MB")
    about = ", ".join(part for part in (*where, *cost) if part)
    return f"{about}. {seeds}" if seeds else about


def html(done: Sequence[Done], scale: Scale) -> str:
    """Returns the page."""
    rows = "".join(
        f'<tr><td><a href="#{paper.name}">{escape(paper.title)}</a></td>'
        + "".join(
            f'<td class="number">{counts(figures)[verdict]}</td>' for verdict in (HOLDS, FAILS, NOT_RUN)
        )
        + "</tr>"
        for paper, figures in _by_paper(done)
    )
    head = "<tr><th>paper</th><th>holds</th><th>fails</th><th>not run</th></tr>"
    body = [f'<div class="scroll"><table>{head}{rows}</table></div>']
    for paper, figures in _by_paper(done):
        body.append(f'<h2 id="{paper.name}">{escape(paper.title)}</h2><p>{escape(paper.source)}</p>')
        body += [_html_figure(each) for each in figures]
    return Template(_TEMPLATE.read_text()).substitute(
        title="Reproductions", summary=escape(_summary(done, scale)), body="\n".join(body)
    )


def _html_figure(each: Done) -> str:
    """Returns a figure's part of the page."""
    figure, record = each.figure, each.record
    parts = [f"<h3>{escape(figure.title)}</h3>"]
    if record:
        parts.append(f"<p><code>{escape(record.command)}</code></p>")
        parts.append(f'<p class="quiet">{escape(_about(figure, record))}</p>')
    if record and record.has_picture:
        source = _picture(each.folder / "figure.png")
        parts.append(f'<p><img alt="{escape(figure.title)}" src="{source}"></p>')
    if record and record.table:
        parts.append(_html_table(record.table))
    rows = [("claim", "the paper", "here", "verdict")]
    rows += [(c.name, c.paper, c.ours, c.verdict) for c in _claims(each)]
    parts.append(_html_table(rows, verdicts=True))
    if figure.notes:
        parts.append(f"<p>{escape(figure.notes)}</p>")
    return "\n".join(parts)


def _html_table(rows: Sequence[Sequence[str]], verdicts: bool = False) -> str:
    head, *others = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in others:
        cells = [f"<td>{escape(cell)}</td>" for cell in row]
        if verdicts:
            kind = row[-1].replace(" ", "-")
            cells[-1] = f'<td class="verdict {kind}">{escape(row[-1])}</td>'
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _picture(file: Path) -> str:
    """Returns a picture as text that a page can hold, with few colours so that it is small."""
    with Image.open(file) as image:
        small = image.convert("RGB")
        small.thumbnail((_WIDTH, 10 * _WIDTH))
        buffer = io.BytesIO()
        small.quantize(_COLOURS).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def markdown(done: Sequence[Done], scale: Scale, pictures: str) -> str:
    """Returns the same as Markdown, without pictures.

    Args:
      pictures: the name of the page that has them, beside it.
    """
    lines = ["# Reproductions", "", _summary(done, scale), ""]
    lines += [f"With pictures, to be opened in a browser: [{pictures}]({pictures}).", ""]
    lines += markdown_counts(done)
    for paper, figures in _by_paper(done):
        lines += ["", f"## {paper.title}", "", f"{paper.source} More: [{paper.docs}]({paper.docs})."]
        for each in figures:
            lines += ["", f"### {each.figure.title}", "", *markdown_figure(each)]
            lines += ["", each.figure.notes] if each.figure.notes else []
    return "\n".join(lines) + "\n"


def markdown_counts(done: Sequence[Done]) -> list[str]:
    """Returns the lines of the table of papers and verdicts."""
    rows = [("paper", HOLDS, FAILS, NOT_RUN)]
    for paper, figures in _by_paper(done):
        rows.append((paper.title, *(str(counts(figures)[v]) for v in (HOLDS, FAILS, NOT_RUN))))
    return _markdown_table(rows)


def markdown_figure(each: Done) -> list[str]:
    """Returns the lines of a figure's command, table and claims."""
    lines = []
    if each.record:
        lines += [f"    {each.record.command}", "", f"{_about(each.figure, each.record)}.", ""]
        lines += [*_markdown_table(each.record.table), ""] if each.record.table else []
    rows = [("claim", "the paper", "here", "verdict")]
    rows += [(c.name, c.paper, c.ours, c.verdict) for c in _claims(each)]
    return lines + _markdown_table(rows)


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *others = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [
        f"| {' | '.join(head)} |",
        f"| {' | '.join('---' for _ in head)} |",
        *(f"| {' | '.join(row)} |" for row in others),
    ]
