"""The words of a run on sentences, and their vectors: their digest in words.json of the run's folder.

Words have numbers, and networks know only these: with other words, or with other vectors, a run would go
on, or be evaluated, without an error and wrong.
"""

import contextlib

from lib.errors import ConfigError
from lib.runtime.json_files import DamagedFile, read_json, write_json
from lib.runtime.run_folder import RunFolder


def check_words(folder: RunFolder, digest: str, record: bool = False) -> None:
    """Checks that the words of a run's sentences, and their vectors, are those that it began with.

    Args:
      folder: the run's.
      digest: `lib.data.Dataset.words_digest`; empty where the data are no sentences.
      record: whether it is written down where the run begins.

    Raises:
      ConfigError: they are others.
    """
    file, before = folder.path / "words.json", {}
    with contextlib.suppress(FileNotFoundError, DamagedFile):
        before = read_json(file, dict[str, str])
    if before and before.get("digest") != digest:
        raise ConfigError(
            f"the words or their vectors are not those that the run in '{folder.path}' was trained with; "
            "name the file that it had",
            "config.dataset.kwargs.vectors",
        )
    if record and digest and not before and folder.ours:
        write_json(file, {"digest": digest})
