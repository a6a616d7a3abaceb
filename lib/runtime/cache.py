"""The cache: prepared data, compiled programs and scoring networks, kept between runs."""

import os
from pathlib import Path

import jax

from lib.errors import ConfigError


def cache_dir() -> Path:
    """Returns the folder where prepared data, compiled programs and scoring networks are kept between runs.

    `GRADIENT_DYNAMICS_CACHE` names another folder than `~/.cache/gradient_dynamics`.

    Raises:
      ConfigError: the folder cannot be written.
    """
    default = Path.home() / ".cache" / "gradient_dynamics"
    folder = Path(os.environ.get("GRADIENT_DYNAMICS_CACHE") or default)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise ConfigError(
            f"cannot write in the cache '{folder}'; name another: GRADIENT_DYNAMICS_CACHE=DIR"
        )
    return folder


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that a second start of the same run compiles nothing."""
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
