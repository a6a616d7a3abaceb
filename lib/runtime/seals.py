"""Seals of checkpoints: a file with checksums of all that a checkpoint holds, its step, and of itself."""

import errno
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

NAME = "seal.json"
_WRITTEN_LATER = ("_CHECKPOINT_METADATA", "commit_success.txt")  # by Orbax; a restore does not need them


class DamagedError(Exception):
    """A checkpoint is there but is not what was saved. The text says what differs."""


class Seal(NamedTuple):
    """Describes a checkpoint.

    Attributes:
      step: of the state.
      layout: {name of an array of the state: its type and shape}.
      checksum: of the state's arrays.
      files: {path of a file in the checkpoint's folder: its digest}.
    """

    step: int
    layout: dict[str, str]
    checksum: str
    files: dict[str, str]


def write(folder: Path, step: int, layout: dict[str, str], checksum: str) -> None:
    """Seals a checkpoint that is complete but for its seal."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = [str(path.relative_to(folder)) for path in paths]
    files = {name: _digest(folder / name) for name in names if name not in _WRITTEN_LATER}
    seal = Seal(step, layout, checksum, files)
    (folder / NAME).write_text(json.dumps([seal._asdict(), _own_digest(seal)]))


def read(folder: Path) -> Seal:
    """Reads the seal of the checkpoint of the step that a folder is named after, which must be the seal's.

    Raises:
      DamagedError: the seal is missing, damaged, or of another step.
      PermissionError: it may not be read.
    """
    try:
        written, digest = json.loads(_ordinary(folder / NAME).read_bytes())
        seal = Seal(**written)
        sound = digest == _own_digest(seal)
    except FileNotFoundError:
        return _older(folder)
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DamagedError("its seal cannot be read") from error
    if not sound:
        raise DamagedError("its seal differs from what was saved (checksum)")
    if str(seal.step) != folder.name:
        raise DamagedError(f"it was saved as step {seal.step}")
    return seal


def _older(folder: Path) -> Seal:
    """Reads what took the place of a seal before there were seals: nothing vouches for the files there."""
    try:
        meta = json.loads(_ordinary(folder / "meta" / "metadata").read_bytes())
        return Seal(int(folder.name), dict(meta["layout"]), str(meta["checksum"]), {})
    except OSError as error:
        raise DamagedError("it has no seal") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError("its metadata cannot be read") from error


def verify(folder: Path) -> Seal:
    """Returns the seal of a checkpoint, after a check of every file that it names.

    Raises:
      DamagedError: see `read`; or a file is missing, or not what was saved.
      PermissionError: a file may not be read.
    """
    seal = read(folder)
    for name, digest in seal.files.items():
        try:
            same = _digest(folder / name) == digest
        except PermissionError:
            raise
        except OSError as error:
            raise DamagedError(f"its file {name} cannot be read ({error.strerror})") from error
        if not same:
            raise DamagedError(f"its file {name} differs from what was saved (checksum)")
    return seal


def _ordinary(path: Path) -> Path:
    """Returns a path that no reader would wait at, as at a pipe.

    Raises:
      OSError: it is there, and no file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no file", str(path))
    return path


def _digest(path: Path) -> str:
    with _ordinary(path).open("rb") as file:
        return hashlib.file_digest(file, _blake2b).hexdigest()


def _own_digest(seal: Seal) -> str:
    return _blake2b(json.dumps(seal._asdict(), sort_keys=True).encode()).hexdigest()


def _blake2b(data: bytes = b""):
    return hashlib.blake2b(data, digest_size=16)
