"""The command that finds pictures by name: its help, and what every picture has."""

import ast
import importlib

import pytest
from conftest import ROOT, refusal

from analysis.__main__ import PICTURES, main

DRAWING = sorted([*(ROOT / "analysis").rglob("*.py"), *(ROOT / "lib" / "pictures").glob("*.py")])


def test_the_help_names_every_picture(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line.split() for line in lines if line.startswith("  ./run.sh plot ")]
    assert [words[2] for words in commands] == list(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_has_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert not ended.value.code
    assert f"./run.sh plot {name} " in text
    assert "--out " in text
    assert importlib.import_module(f"analysis.{name}").USAGE in text


def test_a_name_that_is_none_is_refused(capsys):
    assert "plot: name a picture; known: central_flow, compare, " in refusal(main, capsys)
    assert "plot: unknown name 'compre'; did you mean 'compare'?" in refusal(main, capsys, "compre")


@pytest.mark.parametrize("file", DRAWING, ids=lambda file: str(file.relative_to(ROOT)))
def test_matplotlib_is_imported_only_where_something_is_drawn(file):
    top = ast.parse(file.read_text()).body
    imports = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("matplotlib" in ast.unparse(node) for node in imports)
