"""Writes what came out into docs/ and README.md: the page itself, and tables between marks.

A mark is `<!-- reproduce drift/digits -->`, or `<!-- reproduce all -->` for the table of papers, on a line
of its own. What stands between it and the next `<!-- end -->` is replaced.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from analysis.reproduce import page
from analysis.reproduce.page import Done
from analysis.reproduce.paper import Scale
from lib.errors import ConfigError, lookup
from lib.runtime.files import replacing

ALL = "all"
BLOCK = re.compile(r"(<!-- reproduce (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def write(done: Sequence[Done], scale: Scale, root: Path) -> None:
    """Writes docs/reproductions.html and .md, and fills the marks of README.md and of all pages of docs/.

    Args:
      done: what came out of all figures.
      root: of the tree.

    Raises:
      ConfigError: a mark names no figure; nothing was run; or only a few steps of it.
    """
    if scale == Scale.SMOKE:
        raise ConfigError("results of a few steps are no results; use laptop or paper", "--scale")
    if not any(each.record for each in done):
        raise ConfigError(f"nothing was run at the scale '{scale}'; run it first", "--docs")
    files = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    # All are filled before one is written, for a wrong mark writes nothing.
    texts = {file: filled(file.read_text(), done, file.name) for file in files}
    for file, text in texts.items():
        with replacing(file) as temporary:
            temporary.write_text(text)
    page.write(done, scale, root / "docs" / "reproductions.html")


def filled(text: str, done: Sequence[Done], name: str) -> str:
    """Returns a page's text with what came out between its marks.

    Raises:
      ConfigError: a mark names no figure.
    """
    parts = {f"{each.paper.name}/{each.figure.name}": page.markdown_figure(each) for each in done}
    parts[ALL] = page.markdown_counts(done)

    def fill(match: re.Match) -> str:
        lines = lookup(parts, match[2], f"{name}: reproduce")
        return match[1] + "\n" + "\n".join(lines) + "\n\n" + match[4]

    return BLOCK.sub(fill, text)
