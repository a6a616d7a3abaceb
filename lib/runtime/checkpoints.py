"""Checkpoints that are whole or absent, and never silently wrong.

Orbax writes a step beside and moves it in place when it is complete, in the background. With every state
goes a checksum of its arrays: a flipped byte, which Orbax would restore without a word, is found here.
"""

import contextlib
import hashlib
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from lib.errors import ConfigError
from lib.experiment import State
from lib.runtime.files import steps


class DamagedError(Exception):
    """A checkpoint is there but is not what was saved. The text says what differs."""


class WriteError(Exception):
    """A checkpoint could not be written. The text says why."""


class Writer:
    """Saves states in the background, keeping the newest `keep` of them."""

    def __init__(self, folder: Path, keep: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=ocp.checkpoint_managers.LatestN(keep),
                cleanup_tmp_directories=True,
                create=False,
                multiprocessing_options=_alone(),
            ),
        )

    def save(self, step: int, state: State) -> None:
        """Takes a copy of the state and begins to write it; waits for the write before.

        Raises:
          WriteError: this write, or the one before, failed: a full disk for instance.
        """
        state = jax.tree.map(np.array, state)  # a copy: the trainer donates these buffers
        meta = {"checksum": checksum(state), "layout": layout(state)}
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta))
        with _write_errors():
            if not self._manager.save(step, args=args):
                raise OSError(f"something of step {step} is there already")

    def close(self) -> None:
        """Waits until all is written. A second call does nothing.

        Raises:
          WriteError: the last write failed.
        """
        manager, self._manager = self._manager, None
        if manager is None:
            return
        with _write_errors():
            try:
                manager.wait_until_finished()
                manager.check_for_errors()
            finally:
                manager.close()


def _alone() -> ocp.options.MultiprocessingOptions:
    """Keeps Orbax from waiting for other processes: each has a whole state, and one writes or reads it."""
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})


def _checkpointer() -> ocp.Checkpointer:
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=_alone())
    )
    return ocp.Checkpointer(handler, multiprocessing_options=_alone())


@contextlib.contextmanager
def _write_errors():
    try:
        yield
    except Exception as error:  # TensorStore reports a full disk as a ValueError, among others
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise WriteError(lines[0][:300]) from error


def restore(folder: Path, step: int, target: State) -> State:
    """Returns the state of one step, as NumPy arrays in the structure of `target`.

    Args:
      target: a state, or its jax.eval_shape.

    Raises:
      DamagedError: the files are not what was saved.
      ConfigError: the checkpoint is sound, but of another kind of state.
    """
    target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), target)
    saved_layout, saved = _meta(folder, step)
    _check_layout(layout(target), saved_layout, f"{folder / str(step)}")
    try:
        state = (
            _checkpointer()
            .restore(
                folder.absolute() / str(step),
                args=ocp.args.Composite(state=ocp.args.StandardRestore(target)),
            )
            .state
        )
    except Exception as error:  # likewise for damaged arrays
        raise DamagedError(f"its arrays cannot be read ({type(error).__name__})") from error
    if checksum(state) != saved:
        raise DamagedError("its arrays differ from what was saved (checksum)")
    return state


def saved_checksum(folder: Path, step: int) -> str | None:
    """Returns the checksum that was saved with a step; None if it cannot be read."""
    try:
        return _meta(folder, step)[1]
    except DamagedError:
        return None


def _meta(folder: Path, step: int) -> tuple[dict[str, str], str]:
    """Returns the (layout, checksum) that were saved with a step."""
    try:
        meta = (
            _checkpointer()
            .restore(folder.absolute() / str(step), args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
            .meta
        )
        return meta["layout"], meta["checksum"]
    except PermissionError as error:
        raise ConfigError(f"cannot read the checkpoint '{folder / str(step)}'") from error
    except Exception as error:  # Orbax raises many kinds for damaged metadata
        raise DamagedError(f"its metadata cannot be read ({type(error).__name__})") from error


def restore_newest(folder: Path, target: State, move_damaged: bool = False) -> tuple[int, State] | None:
    """Returns the newest sound checkpoint, (step, state); None if there is no checkpoint.

    Every damaged one on the way is named in one printed line.

    Args:
      folder: of the checkpoints.
      target: a state, or its jax.eval_shape.
      move_damaged: move damaged ones to `damaged/` beside the folder, so that the steps can be saved
        again. Only for the process that writes there.

    Raises:
      ConfigError: there are checkpoints and all are damaged.
    """
    known = steps(folder)
    damaged = []
    for step in reversed(known):
        try:
            state = restore(folder, step, target)
        except DamagedError as error:
            if not (folder / str(step)).exists():  # its run has replaced it meanwhile
                return restore_newest(folder, target, move_damaged)
            before = [s for s in known if s < step]
            then = f"using step {before[-1]}" if before else "there is none before it"
            print(f"checkpoint of step {step} is damaged: {error}; {then}")
            damaged.append(step)
            continue
        if move_damaged:
            _move_aside(folder, damaged)
        return step, state
    if known:
        raise ConfigError(f"all checkpoints in '{folder}' are damaged; train again in another folder")
    return None


def _move_aside(folder: Path, damaged: list[int]) -> None:
    for step in damaged:
        aside = folder.parent / "damaged" / str(step)
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        (folder / str(step)).rename(aside)


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
