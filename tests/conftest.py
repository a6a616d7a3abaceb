"""Two CPU devices, no silent rank promotion, and small configs for all tests."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Programs here run for milliseconds and compile for seconds: XLA's backend need not optimise them.
_XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ.setdefault("XLA_FLAGS", _XLA_FLAGS)

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")

from experiments import registry  # noqa: E402
from lib.config import apply_overrides, load_file  # noqa: E402
from lib.experiment import State  # noqa: E402
from lib.runtime import cache, checkpoints  # noqa: E402
from lib.runtime.run_folder import RunFolder  # noqa: E402
from lib.runtime.trainer import Trainer, first_state  # noqa: E402

cache.use_compilation_cache()

TFDS_DIR = ROOT.parent / "shared" / "tensorflow_datasets"
needs_images = pytest.mark.skipif(
    not TFDS_DIR.is_dir(), reason=f"no prepared TFDS folder with MNIST and CIFAR-10 at {TFDS_DIR}"
)


def small_config(name: str, *overrides: str):
    """Returns the config of configs/<name>.py, shrunk to a few steps, with overrides like `seed=1`."""
    shrunk = ["num_steps=4", "batch_size=8", "log_every=1", "eval_every=4", "checkpoint_every=2"]
    shrunk += ["figures_every=0", "eval.num_samples=40", "eval.num_splits=2", "eval.batch_size=20"]
    return apply_overrides(
        load_file(ROOT / "configs" / f"{name}.py"), [f"--config.{o}" for o in (*shrunk, *overrides)]
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of the tests of faults."""
    parser.addoption("--faults", type=int, default=1, help="how many times as many faults as usual")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that start programs first, so that no worker is left with a long one at the end."""
    starting = {item.path for item in items if item.get_closest_marker("program")}
    items.sort(key=lambda item: item.path not in starting)


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Clears the compiled programs of each module: they hold memory maps, of which a process has 65,530."""
    yield
    jax.clear_caches()


@pytest.fixture
def make(tmp_path):
    """Returns a function that builds a trainer in the test's folder: config name, overrides, devices."""

    def build(name: str, *overrides: str, num_devices: int = 1, workdir: str = "run") -> Trainer:
        config = registry.validated(small_config(name, *overrides))
        folder = RunFolder(tmp_path / workdir)
        folder.create()
        return Trainer(registry.programs(config, jax.local_devices()[:num_devices]), folder)

    return build


def trained(trainer: Trainer) -> State:
    """Trains from the newest checkpoint, or from the start, and returns the state that is saved last."""
    step, state = first_state(trainer.programs, trainer.folder)
    start = jax.device_get(state)
    trainer.train(state, step)
    _, state = trainer.folder.restore(trainer.programs.abstract_state())
    assert not states_equal(start, state)
    return state


def states_equal(a: State, b: State) -> bool:
    """Returns whether two states are bitwise the same."""
    return checkpoints.checksum(jax.device_get(a)) == checkpoints.checksum(jax.device_get(b))


def largest_difference(a: State, b: State) -> float:
    """Returns the largest absolute difference between numbers of two states."""
    pairs = zip(*map(jax.tree.leaves, jax.device_get((a, b))), strict=True)
    return max(float(np.max(np.abs(x - y))) for x, y in pairs)


def on_a_device(array: np.ndarray) -> bool:
    """Returns whether a device holds as many numbers as an array has, or a multiple of them."""
    return any(live.size and live.size % array.size == 0 for live in jax.live_arrays())


@pytest.fixture
def float64():
    """Switches JAX to double precision, for oracles."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def program_env():
    """Returns the environment of a program that a test starts: this tree, one device, the usual caches."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_"))}
    return env | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": os.environ["XLA_FLAGS"]}


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
    """Executes one of the programs to its end."""
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=timeout)


@contextlib.contextmanager
def reserved_address() -> Iterator[str]:
    """Yields 127.0.0.1:PORT, which no other program gets in the block; gRPC's servers share it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def refusal(main, capsys, *args) -> str:
    """Returns the one line with which a program's main refuses its arguments, called in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error
