"""Prints every config with the first line of its docstring: `./run.sh list`."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def catalogue(folder: Path) -> list[tuple[str, str]]:
    """(path, first line of the docstring) of every file below `folder` that defines get_config."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(n, ast.FunctionDef) and n.name == "get_config" for n in tree.body):
            doc = ast.get_docstring(tree) or ""
            found.append((str(path.relative_to(folder.parent)), doc.split("\n", 1)[0]))
    return found


if __name__ == "__main__":
    rows = catalogue(ROOT / "configs")
    width = max(len(path) for path, _ in rows)
    for path, line in rows:
        print(f"{path:{width}}  {line}")
