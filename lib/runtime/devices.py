"""Devices: the axis that training steps are mapped over, and reductions over it."""

import contextlib
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from lib.errors import ConfigError

AXIS = "devices"  # the name of the pmapped axis


def all_devices() -> list[jax.Device]:
    """Returns the devices of all processes of this run, one process after the other."""
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


def machine(devices: Sequence[jax.Device]) -> dict[str, str]:
    """Returns what the rounding of a run depends on besides its config: devices, their kind, and cores.

    A CPU's cores count: XLA splits sums over as many threads as there are.
    """
    kinds = dict.fromkeys(device.device_kind for device in devices)
    described = {"devices": str(len(devices)), "kind": " and ".join(kinds)}
    if devices[0].platform == "cpu":
        described |= {"cores": str(len(os.sched_getaffinity(0))), "processor": _processor()}
    return described | {"JAX": jax.__version__}


def described(devices: Sequence[jax.Device]) -> str:
    """Returns how many devices of which kind there are, as one phrase."""
    here = machine(devices)
    cores = f" with {here['cores']} cores" if "cores" in here else ""
    return f"{here['devices']} x {here['kind']}{cores}"


def _processor() -> str:
    """Returns the name of the CPU's model: XLA compiles for the one that it is on."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def local_part(devices: Sequence[jax.Device]) -> slice:
    """Returns the place of this process's own devices among `devices`, which are ordered by process."""
    own = [i for i, device in enumerate(devices) if device.process_index == jax.process_index()]
    return slice(own[0], own[-1] + 1)


def bound_axis() -> str | None:
    """Returns the name of the device axis while a step is mapped over it, else None.

    It lets one and the same step run alone, under jit, and under pmap.
    """
    try:
        jax.lax.axis_index(AXIS)
    except NameError:
        return None
    return AXIS


def pmean(tree: Any) -> Any:
    """Averages every leaf over devices; the identity where there is no device axis."""
    axis = bound_axis()
    return tree if axis is None else jax.lax.pmean(tree, axis)


def psum(tree: Any) -> Any:
    """Adds every leaf up over devices; the identity where there is no device axis."""
    axis = bound_axis()
    return tree if axis is None else jax.lax.psum(tree, axis)


@jax.custom_vjp
def replicated(tree: Any) -> Any:
    """Returns its argument, the same on all devices, with a gradient that is averaged over them.

    `jax.grad` of a `pmean` is one device's share alone. A loss that takes its parameters through here and
    gives back a `pmean` has the gradient, and by it the Hessian-vector products, of the whole batch on
    every device. Without a device axis it changes nothing. Forwards it can be differentiated only over
    `jax.grad`.
    """
    return tree


replicated.defvjp(lambda tree: (tree, None), lambda _, cotangents: (pmean(cotangents),))


def device_key(key: jax.Array) -> jax.Array:
    """Returns a key of this device's own, for samples that must differ between devices."""
    axis = bound_axis()
    return key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))


def device_share(draw: Callable[[int], jax.Array], n: int) -> jax.Array:
    """Returns this device's n rows of `draw(n * number of devices)`.

    In all they are the same rows, whatever the number of devices.
    """
    axis = bound_axis()
    if axis is None:
        return draw(n)
    rows = draw(n * jax.lax.axis_size(axis))
    return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(axis) * n, n)


def check_divides(
    batch_size: int,
    num_devices: int,
    at_least: int = 1,
    multiple: int = 1,
    field: str = "config.batch_size",
) -> None:
    """Checks that a batch can be split evenly over devices.

    Args:
      at_least: the least examples of a device.
      multiple: what a device's examples must be a multiple of.

    Raises:
      ConfigError: it names the nearest size that fits.
    """
    if batch_size < at_least * num_devices:
        raise ConfigError(
            f"{batch_size} is too small: this config needs at least {at_least} examples on each "
            f"of the {num_devices} devices",
            field,
        )
    if rest := batch_size % (num_devices * multiple):
        below = batch_size - rest
        choices = [n for n in (below, below + num_devices * multiple) if n]
        each = f" with multiples of {multiple} examples, of microbatch, on each" if multiple > 1 else ""
        raise ConfigError(
            f"{batch_size} does not divide by the {num_devices} devices{each}; "
            f"use {' or '.join(map(str, choices))}",
            field,
        )
