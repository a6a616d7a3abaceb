"""Config files by name; `./run.sh list` prints them with the first line of their docstrings."""

import ast
import sys
from pathlib import Path

from lib.command_line import parse
from lib.errors import ConfigError, nearest, one_line_errors

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
DEFAULT = CONFIGS / "gan" / "digits.py"


def default_folder(config_file: str) -> Path:
    """Returns runs/<config name>: the name is the file's path below configs/, without the ending."""
    path = Path(config_file).resolve().with_suffix("")
    return Path("runs") / (path.relative_to(CONFIGS) if path.is_relative_to(CONFIGS) else path.name)


def classifier_file(name: str) -> Path:
    """Returns the file of a classifier's config, as `config.eval.classifier` names it.

    Raises:
      ConfigError: there is no such config.
    """
    file = CONFIGS / f"{name}.py"
    if not file.is_file():
        known = [f"classifier/{p.stem}" for p in sorted((CONFIGS / "classifier").glob("[!_]*.py"))]
        known.remove("classifier/base")
        raise ConfigError(f"no config '{name}'{nearest(name, known)}", "config.eval.classifier")
    return file


def catalogue(folder: Path) -> list[tuple[str, str]]:
    """Lists (path, first line of the docstring) of every file below `folder` that defines get_config."""
    configs = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(n, ast.FunctionDef) and n.name == "get_config" for n in tree.body):
            doc = ast.get_docstring(tree) or ""
            configs.append((str(path.relative_to(folder.parent)), doc.split("\n", 1)[0]))
    return configs


def main(argv: list[str]) -> int:
    """Prints all config files; returns the exit code."""
    with one_line_errors():
        _, overrides = parse(argv, lambda values: None, "Prints all configs, each with a line about it.")
        if overrides:
            raise ConfigError("nothing is configured here", overrides[0])
        rows = catalogue(CONFIGS)
        width = max(len(path) for path, _ in rows)
        for path, line in rows:
            print(f"{path:{width}}  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
