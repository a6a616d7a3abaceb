"""The words of a run on sentences, and their vectors: their digest in words.json of the run's folder.

Words have numbers, and networks know only these: with other words, or with other vectors, a run would go
on, or be evaluated, without an error and wrong.
"""

import contextlib

from lib.errors import ConfigError
from lib.runtime.json_files import DamagedFile, read_json, write_json
from lib.runtime.run_folder import RunFolder

_FILE = "words.json"


def check_words(folder: RunFolder, digest: str) -> None:
    """Checks that the words of a run's sentences, and their vectors, are those that it began with.

    Args:
      folder: the run's.
      digest: `lib.data.Dataset.words_digest`; empty where the data are no sentences.

    Raises:
      ConfigError: they are others.
    """
    before = _recorded(folder)
    if before is not None and before != digest:
        raise ConfigError(
            f"the words or their vectors are not those that the run in '{folder.path}' was trained with; "
            "name the file that it had",
            "config.dataset.kwargs.vectors",
        )


def record_words(folder: RunFolder, digest: str) -> None:
    """Writes the digest down where a run on sentences begins."""
    if digest and folder.ours and _recorded(folder) is None:
        write_json(folder.path / _FILE, {"digest": digest})


def _recorded(folder: RunFolder) -> str | None:
    """Returns the digest that a run began with, None where there is none."""
    with contextlib.suppress(FileNotFoundError, DamagedFile):
        return read_json(folder.path / _FILE, dict[str, str]).get("digest")
    return None
