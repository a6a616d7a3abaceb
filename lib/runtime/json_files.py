"""Small files of JSON: written whole, and checked against a type when they are read."""

import json
import os
from pathlib import Path
from typing import Any

import pydantic

from lib.errors import one_line
from lib.runtime.files import replacing


class DamagedFile(ValueError):
    """A file does not hold what was written. The text names the file and says what is wrong."""


def write_json(path: Path, value: Any) -> None:
    """Writes a value, replacing the file in one move so that it is never half there."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path, kind: Any) -> Any:
    """Returns the value of a file.

    Args:
      path: of the file.
      kind: its type, for pydantic, which converts nothing.

    Raises:
      FileNotFoundError: there is none.
      PermissionError: it may not be read.
      DamagedFile: it holds no JSON, or that of another type, or is no file.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            value = json.loads(file.read())
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate is no text
        return pydantic.TypeAdapter(kind).validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise DamagedFile(f"'{path}' is damaged ({at}{at and ': '}{first['msg']})") from error
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, ValueError, RecursionError, TypeError) as error:  # also of bytes that are not UTF-8
        raise DamagedFile(f"'{path}' is damaged ({one_line(error)})") from error
