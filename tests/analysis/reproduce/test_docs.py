"""What came out, between the marks of the docs' pages."""

import json

import pytest
from conftest import ROOT

from analysis.reproduce import docs, plan, records
from analysis.reproduce.page import Done
from analysis.reproduce.paper import Claim, Figure, Paper, Scale
from analysis.reproduce.papers import PAPERS, load
from analysis.reproduce.records import CheckedClaim, FigureRecord
from lib.errors import ConfigError

FIGURE = Figure("rates", "Two rates", [Claim("larger", "is better", None)])
PAPER = Paper("paper", "A paper", "Somebody, 'A paper'.", "alig.md", [FIGURE])
RECORD = FigureRecord(
    paper="paper",
    figure="rates",
    scale="laptop",
    command="./run.sh reproduce paper --figure=rates --scale=laptop",
    made=records.Made(commits=["abc"], machine={}, date="2026-01-02", seconds=60),
    checked="abc",
    minutes=1,
    megabytes=2,
    claims=[CheckedClaim(name="larger", paper="is better", ours="1, 2", verdict=records.HOLDS)],
    table=[["rate", "loss"], ["0.1", "3"]],
    has_picture=False,
    problem="",
)
BEFORE = """a
<!-- reproduce paper/rates -->
earlier
<!-- end -->
b
<!-- reproduce all -->
<!-- end -->
c
"""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def done(tmp_path) -> list[Done]:
    return [Done(PAPER, FIGURE, RECORD, tmp_path)]


def test_what_stands_between_marks_is_replaced_and_nothing_else(tmp_path):
    text = docs.filled(BEFORE, done(tmp_path), "page.md")
    assert "earlier" not in text and text.startswith("a\n<!-- reproduce paper/rates -->\n")
    for line in (RECORD.command, "| 0.1 | 3 |", "| is better | 1, 2 | holds |", "| A paper | 1 | 0 | 0 |"):
        assert line in text
    assert text.endswith("<!-- end -->\nc\n") and "\nb\n" in text
    assert docs.filled(text, done(tmp_path), "page.md") == text


def test_a_mark_that_names_no_figure_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="page.md.*did you mean 'paper/rates'"):
        docs.filled(BEFORE.replace("rates", "rats"), done(tmp_path), "page.md")


def test_a_mark_without_an_end_is_refused_for_it_would_swallow_text(tmp_path):
    text = BEFORE.replace("<!-- end -->", "", 1)
    with pytest.raises(ConfigError, match="page.md: a mark '<!-- reproduce ..' has no"):
        docs.filled(text, done(tmp_path), "page.md")


def test_costs_are_written_and_others_stay(tmp_path):
    path = tmp_path / "costs.json"
    path.write_text('{"a/b": {"laptop": [2.0, 3.0]}, "paper/rates": {"paper": [9.0, 9.0]}}')
    plan.write_costs({"paper/rates": RECORD}, Scale.LAPTOP, path)
    written = json.loads(path.read_text())
    assert written == {
        "a/b": {"laptop": [2.0, 3.0]},
        "paper/rates": {"paper": [9.0, 9.0], "laptop": [1.0, 2]},
    }


def test_nothing_is_written_where_nothing_was_run(tmp_path):
    with pytest.raises(ConfigError, match="not run at the scale 'laptop': paper/rates; run them first"):
        docs.write([Done(PAPER, FIGURE, None, tmp_path)], Scale.LAPTOP, tmp_path)
    assert not list(tmp_path.iterdir())


def test_tables_of_the_docs_are_those_of_the_page_of_reproductions():
    """Fails where somebody has changed a number by hand."""
    page = (ROOT / "docs" / "reproductions.md").read_text()
    papers = list(map(load, PAPERS))
    names = {docs.ALL} | {f"{paper.name}/{figure.name}" for paper in papers for figure in paper.figures}
    marked = [match for file in PAGES for match in docs.BLOCK.finditer(file.read_text())]
    assert len(marked) > 20
    for match in marked:
        assert match[2] in names
        assert match[3].strip() and match[3].strip("\n") in page, match[2]
