"""Checkpoints that are whole or absent, and never silently wrong.

Orbax writes a step beside and moves it in place when it is complete, in the background. Before that it is
sealed with checksums of its files, its arrays and its step (lib/runtime/seals.py), which a restore verifies
first: a flipped byte, which Orbax would restore without a word, is found here.
"""

import contextlib
import errno
import functools
import hashlib
import itertools
import logging
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime import seals
from lib.runtime.files import remove_tree, steps
from lib.runtime.seals import DamagedError

_OF_ORBAX = re.compile("orbax|OCDBT database")  # the latter: TensorStore, as Orbax uses it
_TRIES = 20  # to read a checkpoint before its run replaces it
_STATE = "state"  # the item of a checkpoint that holds the arrays


class AllDamagedError(ConfigError):
    """A folder has checkpoints, and none of them is sound."""


class WriteError(Exception):
    """A checkpoint could not be written. The text says why."""


class Writer:
    """Saves states in the background, keeping the newest `keep` of them."""

    def __init__(self, folder: Path, keep: int):
        _only_raise()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.absolute()
        self._saving: tuple[int, dict[str, str], str] | None = None  # (step, layout, checksum)
        self._drop_notes(lambda notes: not notes.is_file())  # at a pipe, Orbax would wait
        try:
            self._manager = self._open(keep)
        except (ValueError, TypeError, RecursionError):  # of damaged notes
            self._drop_notes(lambda notes: True)
            self._manager = self._open(keep)

    def _drop_notes(self, condition: Callable[[Path], bool]) -> None:
        """Removes Orbax's own notes on steps, which no restore needs, where a condition holds."""
        for notes in filter(condition, self._folder.glob("*/_CHECKPOINT_METADATA")):
            shutil.rmtree(notes) if notes.is_dir() else notes.unlink()

    def _open(self, keep: int) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=ocp.checkpoint_managers.LatestN(keep),
                cleanup_tmp_directories=True,
                create=False,
                multiprocessing_options=_alone(),
                async_options=ocp.options.AsyncOptions(post_finalization_callback=self._seal),
            ),
        )

    def save(self, step: int, state: State) -> None:
        """Takes a copy of the state and begins to write it; waits for the write before.

        Raises:
          WriteError: this write, or the one before, failed: a full disk for instance.
        """
        state = jax.tree.map(np.array, state)  # a copy: the trainer donates these buffers
        args = ocp.args.Composite(**{_STATE: ocp.args.StandardSave(state)})
        with _write_errors(self._folder):
            self._manager.wait_until_finished()
            self._saving = step, layout(state), checksum(state)
            if not self._manager.save(step, args=args):
                raise OSError(f"something of step {step} is there already")

    def _seal(self) -> None:
        """Seals the step that is being saved; Orbax calls it when all of it is written, before the move."""
        step = self._saving[0]
        (unfinished,) = self._folder.glob(f"{step}.orbax-checkpoint-tmp*")
        seals.write(unfinished, *self._saving)

    def close(self) -> None:
        """Waits until all is written. A second call does nothing.

        Raises:
          WriteError: the last write failed.
        """
        manager, self._manager = self._manager, None
        if manager is None:
            return
        with _write_errors(self._folder):
            try:
                manager.wait_until_finished()
                manager.check_for_errors()
            finally:
                manager.close()


@functools.cache
def _only_raise() -> None:
    """Keeps Orbax from printing what it raises as well, with tracebacks of all its threads.

    When one file cannot be read or written, it closes an event loop to which TensorStore then reports on
    the other files; Python would print a traceback for each.
    """
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(lambda record: not _OF_ORBAX.search(record.getMessage()))
    others = sys.unraisablehook

    def hook(report):
        if str(report.exc_value) != "Event loop is closed":
            others(report)

    sys.unraisablehook = hook


def _alone() -> ocp.options.MultiprocessingOptions:
    """Keeps Orbax from waiting for other processes: each has a whole state, and one writes or reads it."""
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})


@contextlib.contextmanager
def _write_errors(folder: Path):
    """Raises whatever Orbax raises as a WriteError, and removes what is half written."""
    try:
        yield
    except Exception as error:  # TensorStore reports a full disk as a ValueError, among others
        left = shutil.disk_usage(folder).free / 1e6
        for unfinished in folder.glob("*.orbax-checkpoint-tmp*"):
            remove_tree(unfinished)
        full = "RESOURCE_EXHAUSTED" in str(error) or getattr(error, "errno", 0) == errno.ENOSPC
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = f"No space left on device ({left:,.1f} MB left)" if full else lines[0][:200]
        raise WriteError(f"cannot write a checkpoint in '{folder}': {reason}") from error


def restore(folder: Path, step: int, target: State) -> State:
    """Returns the state of one step, as NumPy arrays in the structure of `target`.

    Args:
      target: a state, or its jax.eval_shape.

    Raises:
      DamagedError: the files are not what was saved.
      ConfigError: the checkpoint is sound, but of another kind of state; or it may not be read.
    """
    place = folder.absolute() / str(step)
    try:
        seal = seals.verify(place)
    except PermissionError as error:
        raise ConfigError(f"cannot read the checkpoint '{folder / str(step)}'") from error
    try:
        _check_layout(layout(target), seal.layout, f"{folder / str(step)}")
    except ConfigError as error:
        if seal.files:
            raise
        raise DamagedError(f"{error}, and no seal vouches for that") from error
    try:
        # By their names: nodes that have no leaves, such as None, need not be those of the target.
        arrays = _read_arrays(place)
        state = jax.tree_util.tree_map_with_path(lambda path, _: np.asarray(arrays[_plain(path)]), target)
    except Exception as error:  # Orbax and TensorStore raise many kinds for files that vanish meanwhile
        raise DamagedError(f"its arrays cannot be read ({type(error).__name__})") from error
    if checksum(state) != seal.checksum:
        raise DamagedError("its arrays differ from what was saved (checksum)")
    return state


def _read_arrays(place: Path) -> dict[str, np.ndarray]:
    """Returns {plain name: array} of all that a checkpoint holds."""
    _only_raise()
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=_alone())
    reader = ocp.Checkpointer(handler, multiprocessing_options=_alone())
    saved = reader.restore(place / _STATE, args=ocp.args.StandardRestore())
    leaves, _ = jax.tree_util.tree_flatten_with_path(saved)
    return {_plain(path): leaf for path, leaf in leaves}


def _plain(path) -> str:
    """Returns the name of a leaf, the same whether its nodes are fields, keys or places."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def saved_checksum(folder: Path, step: int) -> str | None:
    """Returns the checksum of the arrays that were saved with a step; None if it cannot be read."""
    try:
        return seals.read(folder / str(step)).checksum
    except (DamagedError, OSError):
        return None


def is_sound(folder: Path, step: int) -> bool:
    """Tells whether the files of a step are what was saved."""
    try:
        seals.verify(folder / str(step))
    except (DamagedError, OSError):
        return False
    return True


def restore_newest(folder: Path, target: State, move_damaged: bool = False) -> tuple[int, State] | None:
    """Returns the newest sound checkpoint, (step, state); None if there is no checkpoint.

    Every damaged one on the way is named in one printed line.

    Args:
      folder: of the checkpoints.
      target: a state, or its jax.eval_shape.
      move_damaged: move damaged ones to `damaged/` beside the folder, so that the steps can be saved
        again. Only for the process that writes there.

    Raises:
      AllDamagedError: there are checkpoints and all are damaged.
    """
    for _ in range(_TRIES):
        known, damaged = steps(folder), []
        for step in reversed(known):
            try:
                state = restore(folder, step, target)
            except DamagedError as error:
                if not (folder / str(step)).exists():  # its run has replaced it meanwhile
                    break
                before = [s for s in known if s < step]
                then = f"using step {before[-1]}" if before else "there is none before it"
                print(f"checkpoint of step {step} is damaged: {error}; {then}")
                damaged.append(step)
                continue
            if move_damaged:
                _move_aside(folder, damaged)
            return step, state
        else:
            if known:
                text = f"all checkpoints in '{folder}' are damaged; train again in another folder"
                raise AllDamagedError(text)
            return None
    raise ConfigError(f"checkpoints in '{folder}' come and go faster than they can be read")


def _move_aside(folder: Path, damaged: list[int]) -> None:
    aside = folder.parent / "damaged"
    for step in damaged:
        aside.mkdir(exist_ok=True)
        names = (f"{step}{f'.{i}' if i else ''}" for i in itertools.count())  # none is there already
        (folder / str(step)).rename(aside / next(name for name in names if not (aside / name).exists()))


def checksum(state: State) -> str:
    """Returns a digest of all arrays of a state, with their names, types and shapes."""
    digest = hashlib.blake2b(digest_size=16)
    for name, leaf in _leaves(state):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def layout(state: State) -> dict[str, str]:
    """Returns {name of a leaf: its type and shape}."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in _leaves(state)}


def _leaves(state: State) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def _check_layout(ours: dict[str, str], theirs: dict[str, str], where: str) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name, "absent"), theirs.get(name, "absent")
        if a != b:
            raise ConfigError(
                f"checkpoint '{where}' is of another experiment: state{name} is {b} there, {a} here"
            )
