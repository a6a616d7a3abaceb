"""Configs: from a file and the command line to strict, typed, frozen sections.

A config file is a Python file with `get_config() -> ml_collections.ConfigDict`. What is wrong with one is
raised here as a `ConfigError`, before anything compiles; the programs print it as one line, with exit code
2.
"""

import ast
import difflib
import fnmatch
import os
import re
import runpy
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ml_collections
import pydantic
from absl import flags
from ml_collections import config_flags

from lib.errors import ConfigError, nearest, one_line

T = TypeVar("T")


class Section(pydantic.BaseModel):
    """Base of all config sections: every field is required, typed, and no other is accepted."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def load_file(path: str | os.PathLike) -> ml_collections.ConfigDict:
    """Returns what the `get_config()` of a config file returns.

    Raises:
      ConfigError: the file is missing, fails, or has no `get_config`.
    """
    path = Path(path)
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path("configs")
        names = [str(folder / p.name) for p in folder.glob("*.py")]
        close = difflib.get_close_matches(str(path), names, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "; './run.sh list' prints all configs"
        raise ConfigError(f"no file '{path}'{hint}", "--config")
    config = call_file(path, "get_config", "--config")
    if not isinstance(config, ml_collections.ConfigDict):
        text = f"get_config() of '{path}' must return an ml_collections.ConfigDict"
        raise ConfigError(text, "--config")
    try:
        to_plain(config)
    except RecursionError as error:
        raise ConfigError(f"a section of '{path}' contains itself", "--config") from error
    return config


def call_file(path: Path, name: str, flag: str, *args: Any) -> Any:
    """Executes a Python file and returns what its function of a name returns.

    Args:
      path: of the file.
      name: of the function.
      flag: what named the file.
      args: of the function.

    Raises:
      ConfigError: the file or the function fails, or ends the program, or there is no such function.
    """
    try:
        functions = runpy.run_path(str(path))
        if name in functions:
            return functions[name](*args)
    except BaseException as error:  # whatever a user's file may raise: it may also call exit()
        raise ConfigError(f"'{path}' fails: {one_line(error)}", flag) from error
    raise ConfigError(f"'{path}' defines no function {name}()", flag)


def split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits a command line into the `--config.a.b=value` arguments and the others.

    Raises:
      ConfigError: an override has no value, or is an empty path to restore from.
    """
    overrides, others = [], []
    for argument in argv:
        if re.match(r"--?config\.", argument):
            if "=" not in argument:
                raise ConfigError(f"write it as {argument}=VALUE", argument)
            if argument.endswith(".restore_path="):  # most likely of a variable that is not set
                raise ConfigError("is empty; leave it out, or name a checkpoint", argument[:-1])
            overrides.append(re.sub(r"^--?", "--", argument))
        else:
            others.append(argument)
    return overrides, others


def apply_overrides(
    config: ml_collections.ConfigDict, overrides: Sequence[str]
) -> ml_collections.ConfigDict:
    """Returns a copy of `config` with `--config.a.b=value` arguments applied, typed by the field.

    Raises:
      ConfigError: an unknown field, or a value that is not of the field's type.
    """
    config = ml_collections.ConfigDict(config.to_dict())
    for override in overrides:
        field, text = override.removeprefix("--config.").split("=", 1)
        if field.rpartition(".")[0].endswith("kwargs"):
            _set_kwarg(config, field, text)
            continue
        _check_field(config, field)
        _set_field(config, field, text)
    return config


def validate(
    schema: type[T], config: Mapping[str, Any] | ml_collections.ConfigDict, section: str = "config"
) -> T:
    """Turns a config, or a section of it, into the frozen, typed object of class `schema`.

    Args:
      schema: a class of sections.
      config: its fields.
      section: the section's full name.

    Raises:
      ConfigError: the first unknown, missing or mistyped field, with its full name.
    """
    try:
        return schema.model_validate(to_plain(config))
    except pydantic.ValidationError as error:
        # An unknown name often explains a missing one: report it first.
        problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise _error_of_field(problems[0], schema, section) from error


def to_plain(config: Any) -> Any:
    """Returns a config as plain dicts and tuples, the form that schemas are validated against."""
    if isinstance(config, ml_collections.ConfigDict):
        config = config.to_dict()
    if isinstance(config, Mapping):
        return {key: to_plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return tuple(to_plain(value) for value in config)
    return config


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Returns {"a.b": value} for every leaf of a nested config."""
    leaves = {}
    for key, value in to_plain(config).items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{name}.")
        else:
            leaves[name] = value
    return leaves


def differences(ours: Any, theirs: Any, ignore: Sequence[str] = ()) -> list[str]:
    """Returns a line for every field in which two configs differ.

    Args:
      ours: a config.
      theirs: the other one.
      ignore: names of fields, or of whole sections, that may differ; `*` is any section.
    """
    ours, theirs = flatten(ours), flatten(theirs)
    lines = []
    for name in sorted(ours.keys() | theirs.keys()):
        if any(fnmatch.fnmatchcase(name, pattern) for field in ignore for pattern in (field, f"{field}.*")):
            continue
        a, b = ours.get(name, "(absent)"), theirs.get(name, "(absent)")
        if a != b:
            lines.append(f"config.{name}: {a!r} here, {b!r} there")
    return lines


def _get(config: Any, field: str) -> Any:
    """Returns the value of a dotted field."""
    for part in field.split("."):
        config = config[part]
    return config


def _set_field(config: ml_collections.ConfigDict, field: str, text: str) -> None:
    """Sets an existing field to the value that a text stands for, read as the field's type."""
    *sections, name = field.split(".")
    section = _get(config, ".".join(sections)) if sections else config
    if isinstance(section[name], ml_collections.ConfigDict):
        section[name] = _parse_kwargs(section[name], field, text)
        return
    if isinstance(section[name], int | float) and not text.isascii():
        raise ConfigError(f"'{text}' is no number; use the digits 0 to 9", f"config.{field}")
    alone = ml_collections.ConfigDict({name: section[name]})  # the flag writes out all that it is given
    values, argv = flags.FlagValues(), ["", f"--config.{name}={text}"]
    try:
        config_flags.DEFINE_config_dict("config", alone, flag_values=values, sys_argv=argv)
        values(argv)
    except (flags.Error, TypeError, ValueError, KeyError) as error:
        kind = type(section[name]).__name__
        raise ConfigError(f"'{text}' is not of type {kind}", f"config.{field}") from error
    with section.ignore_type():
        section[name] = alone[name]


def _parse_kwargs(section: ml_collections.ConfigDict, field: str, text: str) -> ml_collections.ConfigDict:
    """Parses keyword arguments that take the place of all that a config has set.

    Raises:
      ConfigError: the field is another kind of section, or the text is no dict.
    """
    if not field.split(".")[-1].endswith("kwargs"):
        raise ConfigError(f"a section: set its fields, {', '.join(section)}", f"config.{field}")
    try:
        return ml_collections.ConfigDict(dict(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError) as error:
        raise ConfigError(f"'{text}' is no dict, such as {{'momentum': 0.9}}", f"config.{field}") from error


def _set_kwarg(config: ml_collections.ConfigDict, field: str, text: str) -> None:
    """Sets a free keyword argument, a field that need not exist, to a Python literal or a string."""
    *section, name = field.split(".")
    _check_field(config, ".".join(section))
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    kwargs = _get(config, ".".join(section))
    with kwargs.unlocked(), kwargs.ignore_type():
        kwargs[name] = value


def _check_field(config: ml_collections.ConfigDict, field: str) -> None:
    """Checks that a dotted field exists.

    Raises:
      ConfigError: it does not; the text names the first part that is missing.
    """
    at, walked = config, "config"
    for part in field.split("."):
        if not isinstance(at, ml_collections.ConfigDict):
            raise ConfigError(f"{walked} is a value and has no fields", f"config.{field}")
        if part not in at:
            raise ConfigError(f"unknown field{nearest(part, at.keys())}", f"{walked}.{part}")
        at, walked = at[part], f"{walked}.{part}"


def _error_of_field(
    problem: Mapping[str, Any], schema: type[pydantic.BaseModel], section: str
) -> ConfigError:
    """Turns one of pydantic's errors into a `ConfigError` that names its field in full."""
    location = [str(part) for part in problem["loc"]]
    kind, value = problem["type"], problem["input"]
    if "kwargs" in location[:-1]:  # pydantic's own text is of one of the types that it tried
        location = location[: location.index("kwargs") + 2]
        kind = "kwargs"
    field = ".".join([section, *location])
    if kind == "kwargs":
        message = f"{value!r} is no argument; use a finite number, text, True, False, None, or a tuple"
    elif kind == "extra_forbidden":
        message = f"unknown field{nearest(location[-1], _fields_at(schema, location[:-1]))}"
    elif kind == "missing":
        message = "missing; every field must be set (bases in configs/ set the common ones)"
    elif kind == "literal_error":
        known = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        message = f"unknown name {value!r}{nearest(str(value), known)}"
    elif kind == "value_error":  # raised by a section's own check, which names its fields from the section
        error = problem["ctx"]["error"]
        return error.within(field) if isinstance(error, ConfigError) else ConfigError(str(error), field)
    else:
        message = f"{problem['msg'].removeprefix('Input ')}, got {value!r}"
    return ConfigError(message, field)


def _fields_at(schema: Any, location: Sequence[str]) -> list[str]:
    """Returns the names of the fields of the section at a location; none where it is no section."""
    for part in location:
        if typing.get_origin(schema) is dict:
            schema = typing.get_args(schema)[1]
        elif _is_section(schema) and part in schema.model_fields:
            schema = schema.model_fields[part].annotation
        else:
            return []
    if _is_section(schema):
        return list(schema.model_fields)
    return list(getattr(schema, "_fields", ()))  # of a named tuple


def _is_section(schema: Any) -> bool:
    """Tells whether a type is a class of sections."""
    return isinstance(schema, type) and issubclass(schema, pydantic.BaseModel)
