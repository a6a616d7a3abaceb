"""Writes what came out into docs/ and README.md: the page itself, tables between marks, and costs.

A mark is `<!-- reproduce drift/digits -->`, or `<!-- reproduce all -->` for the table of papers, on a line
of its own. What stands between it and the next `<!-- end -->` is replaced.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from analysis.reproduce import page, plan
from analysis.reproduce.page import Done
from analysis.reproduce.paper import Scale
from lib.errors import ConfigError, lookup
from lib.runtime.files import replacing

ALL = "all"
_BEGIN = "<!-- reproduce "
BLOCK = re.compile(rf"({_BEGIN}(\S+) -->\n)((?:(?!{_BEGIN}).)*?)(<!-- end -->)", re.DOTALL)


def write(done: Sequence[Done], scale: Scale, root: Path) -> None:
    """Writes docs/reproductions.html and .md, and fills the marks of README.md and of all pages of docs/.

    Args:
      done: what came out of all figures.
      root: of the tree.

    Raises:
      ConfigError: a mark names no figure, or has no end; figures are missing; or only a few steps were
        run.
    """
    if scale == Scale.SMOKE:
        raise ConfigError("results of a few steps are no results; use laptop or paper", "--scale")
    if missing := [_name(each) for each in done if not each.record]:
        text = f"not run at the scale '{scale}': {', '.join(missing)}; run them first, or name their --out"
        raise ConfigError(text, "--docs")
    files = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    # All are filled before one is written, for a wrong mark writes nothing.
    texts = {file: filled(file.read_text(), done, file.name) for file in files}
    for file, text in texts.items():
        with replacing(file) as temporary:
            temporary.write_text(text)
    page.write(done, scale, root / "docs" / "reproductions.html")
    ran = {_name(each): each.record for each in done if each.record and each.figure.is_run(scale)}
    plan.write_costs(ran, scale)


def _name(each: Done) -> str:
    return f"{each.paper.name}/{each.figure.name}"


def filled(text: str, done: Sequence[Done], name: str) -> str:
    """Returns a page's text with what came out between its marks.

    Raises:
      ConfigError: a mark names no figure, or has no end.
    """
    if len(BLOCK.findall(text)) != text.count(_BEGIN):
        reason = f"{name}: a mark '{_BEGIN}..' has no '<!-- end -->' before the next one"
        raise ConfigError(reason, "--docs")
    parts = {_name(each): page.markdown_figure(each) for each in done}
    parts[ALL] = page.markdown_counts(done)

    def fill(match: re.Match) -> str:
        lines = lookup(parts, match[2], f"{name}: reproduce")
        return match[1] + "\n" + "\n".join(lines) + "\n\n" + match[4]

    return BLOCK.sub(fill, text)
