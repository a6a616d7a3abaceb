"""A profile of some training steps: what the devices and the host do, and when."""

from pathlib import Path
from typing import Any

import jax


class Profile:
    """Records calls of the device, of at least so many steps together, after the one that compiles."""

    def __init__(self, folder: Path, steps: int):
        """Records nothing yet.

        Args:
          folder: where JAX writes it, for TensorBoard, and as a trace that ui.perfetto.dev opens.
          steps: how many steps; 0: there is no profile.
        """
        self._folder, self._steps = folder, steps
        self._calls, self._recorded, self._is_on = 0, 0, False

    def before_call(self, ours: bool = True) -> None:
        """Begins to record, if this is the call to begin with.

        Args:
          ours: whether this process is the one that writes.
        """
        if self._steps and ours and self._calls == 1:
            jax.profiler.start_trace(str(self._folder))
            self._is_on = True
        self._calls += 1

    def after_call(self, steps: int, results: Any) -> None:
        """Ends the profile once it has enough steps; says where it is."""
        if not self._is_on:
            return
        jax.block_until_ready(results)
        self._recorded += steps
        if self._recorded >= self._steps:
            self.close()

    def close(self) -> None:
        """Ends the profile, whatever it has."""
        if self._steps and self._calls == 1 and not self._is_on:
            print("note: no profile was written: the run made a single call, which compiles")
        if self._is_on:
            self._is_on = False
            jax.profiler.stop_trace()
            print(f"profile     {self._recorded:,} steps: tensorboard --logdir {self._folder}")
