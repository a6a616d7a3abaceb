"""Two CPU devices, no silent rank promotion, and small configs for all tests."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")

from experiments import registry  # noqa: E402
from lib.config import apply_overrides, load_file  # noqa: E402
from lib.runtime import cache  # noqa: E402
from lib.runtime.run_folder import RunFolder  # noqa: E402
from lib.runtime.trainer import Trainer  # noqa: E402

cache.use_compilation_cache()

TFDS_DIR = ROOT.parent / "shared" / "tensorflow_datasets"
needs_images = pytest.mark.skipif(
    not TFDS_DIR.is_dir(), reason=f"no prepared TFDS folder with MNIST and CIFAR-10 at {TFDS_DIR}"
)


def small_config(name: str, *overrides: str):
    """The config of configs/<name>.py, shrunk to a few steps, with overrides like `seed=1`."""
    shrunk = ["num_steps=4", "batch_size=8", "log_every=1", "eval_every=4", "checkpoint_every=2"]
    shrunk += ["figures_every=0", "eval.num_samples=40", "eval.num_splits=2", "eval.batch_size=20"]
    return apply_overrides(
        load_file(ROOT / "configs" / f"{name}.py"), [f"--config.{o}" for o in (*shrunk, *overrides)]
    )


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Each compiled program holds some memory maps, of which a process may have 65,530: few modules share programs."""
    yield
    jax.clear_caches()


@pytest.fixture
def make(tmp_path):
    """Builds a trainer in a folder of the test's own: config name, overrides, devices."""

    def build(name: str, *overrides: str, num_devices: int = 1, workdir: str = "run") -> Trainer:
        config = registry.validated(small_config(name, *overrides))
        folder = RunFolder(tmp_path / workdir)
        folder.create()
        return Trainer(registry.programs(config, jax.local_devices()[:num_devices]), folder)

    return build


@pytest.fixture
def float64():
    """JAX in double precision, for oracles."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def program_env():
    """The environment of a program that a test starts: this tree, one device, the usual caches."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    return env | {"PYTHONPATH": str(ROOT)}


def program(env, *args, module="experiments.main", **kwargs) -> subprocess.Popen:
    """Starts one of the programs."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *args],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **kwargs,
    )


def run(env, module: str, *args, timeout: int = 400) -> subprocess.CompletedProcess:
    """Runs one of the programs to its end."""
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=timeout)


@contextlib.contextmanager
def reserved_address() -> Iterator[str]:
    """127.0.0.1:PORT for a server that shares ports, as gRPC's do: until the end of the block no other program gets it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def refusal(main, capsys, *args) -> str:
    """The one line with which a program's main refuses its arguments, called in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error
