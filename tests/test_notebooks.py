"""The notebooks of docs/ run from top to bottom, and what they show is small."""

import nbclient
import nbformat
import pytest
from conftest import ROOT

FILES = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_notebook_shows_is_there_and_small(file):
    cells = [cell for cell in nbformat.read(file, 4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert all(output.output_type != "error" for output in outputs)
    assert file.stat().st_size < 100_000


@pytest.mark.program
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_notebook_runs(file, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(file, 4)
    shown = [_pictures(cell) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert [_pictures(cell) for cell in notebook.cells] == shown


def _pictures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def test_there_are_notebooks():
    assert len(FILES) == 3
