"""The habits of the code that no linter knows: small files and functions, docstrings with a verb."""

import ast
import re

import pytest
from conftest import ROOT

FOLDERS = ("lib", "experiments", "eval", "analysis", "benchmarks", "configs", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 300, 60
_VERB = re.compile(r"[A-Z][a-z]+s\b")
_NO_VERBS = {"This", "Its", "Args", "Means", "Points", "Runs", "Names", "Rows", "Keys", "Losses", "Steps"}


def functions(file):
    """Yields the functions and methods of a file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def begins_with_a_verb(docstring: str) -> bool:
    """Tells whether the first word has the form of a verb in the third person, such as Returns."""
    word = _VERB.match(docstring)
    return bool(word) and word[0] not in _NO_VERBS


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_habits(file):
    lines = file.read_text().count("\n")
    assert lines <= LONGEST_FILE, f"{lines} lines: split it into files of one idea"
    for function in functions(file):
        length = function.end_lineno - function.lineno + 1
        assert length <= LONGEST_FUNCTION, f"{function.name} has {length} lines: split it"
        docstring = ast.get_docstring(function)
        assert not docstring or begins_with_a_verb(docstring), (
            f"{function.name}: begin its docstring with what it does (Returns ..., Checks ...), not "
            f"'{docstring.splitlines()[0]}'"
        )


def test_a_noun_is_no_verb():
    assert begins_with_a_verb("Returns the loss.")
    assert not begins_with_a_verb("The loss.")
    assert not begins_with_a_verb("Means over devices.")
    assert not begins_with_a_verb("Steps that have a checkpoint.")
