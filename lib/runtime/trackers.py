"""Trackers of experiments, beside TensorBoard and the JSON lines: what has W&B's interface, by name.

`config.trackers = ("trackio",)` logs to Trackio, which keeps runs on this machine and shows them by
`trackio show`. A run that is resumed goes on in the same run of the tracker, whose id lies in its folder.
"""

import importlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from lib.errors import ConfigError, one_line
from lib.runtime.json_files import DamagedFile, read_json, write_json

_PROJECT = "gradient-dynamics"
_IDS = "trackers.json"  # in a run's folder


class Tracker(Protocol):
    """What training tells a tracker. Nothing that it raises ends a run: see `Guarded`."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes metrics, `train/..` and `eval/..`, of a step."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """Takes a picture, a PNG."""

    def finish(self) -> None:
        """Writes what is left."""


class Wandb:
    """A tracker with the interface of W&B: a module with `Image`, and with `init`, which gives a run."""

    def __init__(self, module: ModuleType, name: str, run_id: str, config: Mapping[str, Any]):
        """Begins a run, or goes on with the one of this id."""
        self._image = module.Image
        more = {"id": run_id} if module.__name__ == "wandb" else {}
        self._run = module.init(project=_PROJECT, name=name, config=dict(config), resume="allow", **more)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        self._run.log({name: self._image(str(path))}, step=step)

    def finish(self) -> None:
        self._run.finish()


TRACKERS = ("trackio", "wandb")  # modules


class Guarded:
    """A tracker whose errors are said once and end nothing."""

    def __init__(self, name: str, tracker: Tracker):
        self._name, self._tracker, self._broken = name, tracker, False

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._try("log", step, metrics)

    def picture(self, step: int, name: str, path: Path) -> None:
        self._try("picture", step, name, path)

    def finish(self) -> None:
        self._try("finish")

    def _try(self, what: str, *arguments: Any) -> None:
        if self._broken:
            return
        try:
            getattr(self._tracker, what)(*arguments)
        except Exception as error:  # of a network, a disk, a service
            self._broken = True
            print(f"note: {self._name} takes nothing more ({one_line(error)[:200]}); the run goes on")


def module_of(name: str) -> ModuleType:
    """Imports a tracker's package.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"'{name}' is not installed; .venv/bin/uv pip install --python .venv/bin/python {name}"
        raise ConfigError(text, "config.trackers") from error


def begin(names: tuple[str, ...], folder: Path, config: Mapping[str, Any]) -> list[Tracker]:
    """Begins, or resumes, a run in each tracker.

    Args:
      names: of TRACKERS.
      folder: of the run; its ids are kept there, so that they go with it.
      config: {field: value} of the run.

    Raises:
      ConfigError: a tracker is not installed, or cannot begin.
    """
    if not names:
        return []
    ids, begun = _ids(folder), []
    ids |= {name: uuid.uuid4().hex[:8] for name in names if name not in ids}
    write_json(folder / _IDS, ids)
    for name in names:
        try:
            tracker = Wandb(module_of(name), f"{folder.name}-{ids[name]}", ids[name], config)
        except Exception as error:
            raise ConfigError(f"{name} cannot begin: {one_line(error)[:300]}", "config.trackers") from error
        begun.append(Guarded(name, tracker))
    return begun


def _ids(folder: Path) -> dict[str, str]:
    """Reads {tracker: id of the run there}."""
    try:
        return read_json(folder / _IDS, dict[str, str])
    except (FileNotFoundError, DamagedFile):
        return {}
