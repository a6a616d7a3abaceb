"""One run of several processes: two with a device each are one with two devices."""

import contextlib
import fcntl
import json
import signal
import subprocess
import time

import jax
import pytest
from conftest import program, reserved_address

from experiments.main import main
from lib.runtime import checkpoints

pytestmark = pytest.mark.program

GAN = ["--config=configs/gan/ring8_sgd.py", "--config.gan.nets.kwargs.num_units=4"]
GAN += ["--config.gan.num_latents=4", "--config.batch_size=8"]
GAN += ["--config.gan.grad_regularizes.dd_coeffs_multiplier.disc.other_dot_prod=-1.0"]
GAN += ["--config.checkpoint_every=6", "--config.eval_every=30", "--config.log_every=6"]
CLASSIFIER = ["--config=configs/classifier/digits.py", "--config.num_steps=4", "--config.log_every=2"]
CLASSIFIER += ["--config.classifier.model.kwargs.channels=(4,)"]
CLASSIFIER += ["--config.classifier.model.kwargs.hidden=4", "--config.checkpoint_every=2"]
CLASSIFIER += ["--config.eval_every=2", "--config.batch_size=8"]
CLASSIFIER += ["--config.dataset.device_limit_gb=0.0"]
TIMEOUT = 200


@pytest.fixture(scope="module")
def env(program_env):
    """Returns the environment of programs that meet on this machine alone, whatever starts the tests."""
    launchers = ("SLURM_", "OMPI_", "PMI")
    own = {k: v for k, v in program_env.items() if not k.startswith(launchers)}
    own = {k: v for k, v in own.items() if not k.lower().endswith("_proxy")}
    return own | {"JAX_NUM_CPU_DEVICES": "1"}


def by_hand(address: str, i: int) -> tuple[list[str], dict[str, str]]:
    """Returns flags and variables of process i of two."""
    return [f"--coordinator={address}", "--num_processes=2", f"--process_id={i}"], {}


def by_srun(address: str, i: int) -> tuple[list[str], dict[str, str]]:
    """Returns the same as Slurm sets it: the port is JAX's own choice then, but for this variable."""
    host, port = address.split(":")
    slurm = {"JOB_ID": "1", "STEP_NODELIST": host, "NTASKS": "2", "PROCID": str(i), "LOCALID": str(i)}
    return [], {f"SLURM_{name}": value for name, value in slurm.items()} | {"JAX_COORDINATOR_PORT": port}


@contextlib.contextmanager
def started(env, *args, how=by_hand, last_args=()):
    """Starts two processes of one run, and kills at the end of the block those that have not ended."""
    processes = []
    with reserved_address() as address:
        env = env | {"JAX_COORDINATOR_BIND_ADDRESS": address, "PYTHONFAULTHANDLER": "1"}
        try:
            for i, more in enumerate([(), last_args]):
                where, variables = how(address, i)
                processes.append(program(env | variables, *args, "--distributed", *where, *more))
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.wait()


def ended(processes) -> list[tuple[int, str, str]]:
    """Waits for processes; returns (exit code, standard output, standard error) of each.

    Those that do not end in time print where they are.
    """
    deadline = time.monotonic() + TIMEOUT
    results, late = [], []
    for p in processes:
        try:
            texts = p.communicate(timeout=max(deadline - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGABRT)  # its fault handler prints the stacks of its threads
            texts = p.communicate()
            late.append(len(results))
        results.append((p.returncode, *texts))
    assert not late, "\n\n".join(
        f"process {i}, exit code {r}:\n{o}\n{e}" for i, (r, o, e) in enumerate(results)
    )
    return results


def codes(results) -> list[int]:
    return [code for code, _, _ in results]


def lines(err: str) -> list[str]:
    """Returns the errors that the program itself prints: JAX's warnings begin with their level and date."""
    return [line for line in err.splitlines() if line.startswith("error: ")]


def records(workdir, name) -> list[dict]:
    lines = (workdir / "metrics" / f"{name}.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "steps_per_second"} for line in lines]


def checksums(workdir) -> dict[int, str]:
    folder = workdir / "checkpoints"
    return {step: checkpoints.saved_checksum(folder, step) for step in checkpoints.steps(folder)}


def one_process(workdir, *args) -> None:
    """Trains in this process, which has two devices."""
    assert main([*args, f"--workdir={workdir}"]) == 0


def test_two_processes_equal_one_with_two_devices(tmp_path, env):
    """Compares checkpoints bitwise, and metrics; batches are streamed, and one process writes.

    Both begin with another run's parameters, and keep averages.
    """
    one_process(tmp_path / "old", *CLASSIFIER, "--config.num_steps=2")
    warm = [*CLASSIFIER, f"--config.restore_path={tmp_path}/old", "--config.num_steps=6"]
    warm += ["--config.classifier.averages.uniform=True", "--config.classifier.optimizer.learning_rate=0.1"]
    one_process(tmp_path / "one", *warm)
    with started(env, *warm, f"--workdir={tmp_path}/two") as processes:
        results = ended(processes)
    assert codes(results) == [0, 0], results
    assert results[0][1].count("warm start from step 2 of") == 1
    expected = checksums(tmp_path / "one")
    assert list(expected) == [4, 6]
    assert len(set(expected.values())) == 2
    assert checksums(tmp_path / "two") == expected
    for name, lines in {"train": 3, "eval": 2}.items():
        assert len(records(tmp_path / "one", name)) == lines
        assert records(tmp_path / "two", name) == records(tmp_path / "one", name)
    one, two = (len(list((tmp_path / workdir).rglob("events.*"))) for workdir in ("one", "two"))
    assert one == two > 0
    assert "trained 4 steps" in results[0][1]
    assert "trained" not in results[1][1]
    assert "warm start" not in results[1][1]


def test_a_signal_to_one_stops_all_and_any_number_of_processes_continues(tmp_path, env):
    """Stops two processes twice, with a signal to one and to both; then one process finishes."""
    workdir = tmp_path / "stopped"
    args = [*GAN, f"--workdir={workdir}"]
    before = 0
    for signalled in ([1], [0, 1]):
        with started(env, *args, "--config.num_steps=100000") as processes:
            wait_for_step(workdir, before + 1, processes)
            for i in signalled:
                processes[i].send_signal(signal.SIGTERM)
            results = ended(processes)
        assert codes(results) == [128 + signal.SIGTERM] * 2, results
        stopped_at = max(checksums(workdir))
        assert stopped_at > before
        assert f"stopped and saved at step {stopped_at:,}" in results[0][1]
        assert json.loads((workdir / "status.json").read_text())["status"] == "stopped"
        before = stopped_at
    one_process(workdir, *GAN, f"--config.num_steps={before + 6}")
    one_process(tmp_path / "never", *GAN, f"--config.num_steps={before + 6}")
    assert checksums(workdir)[before + 6] == checksums(tmp_path / "never")[before + 6]


def wait_for_step(workdir, step, processes):
    deadline = time.monotonic() + TIMEOUT
    while all(p.poll() is None for p in processes) and time.monotonic() < deadline:
        if any(s >= step for s in checkpoints.steps(workdir / "checkpoints")):
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}; exit codes {[p.poll() for p in processes]}")


def test_if_process_0_is_refused_all_end_with_its_line(tmp_path, env):
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with started(env, *GAN, f"--workdir={tmp_path}", how=by_srun) as processes:
            results = ended(processes)
    assert codes(results) == [2, 2], results
    first, second = (lines(err) for _, _, err in results)
    assert len(first) == len(second) == 1
    assert "is training in" in first[0]
    assert second[0] == first[0].replace("error: ", "error: process 0: ")


def test_processes_with_other_configs_are_refused(tmp_path, env):
    with started(env, *GAN, f"--workdir={tmp_path}", last_args=["--config.seed=1"]) as processes:
        results = ended(processes)
    assert codes(results) == [2, 2], results
    assert all("started with different ones" in lines(err)[0] for _, _, err in results)
    assert not (tmp_path / "config.json").exists()


BY_HAND = ["--distributed", "--coordinator=127.0.0.1:1", "--num_processes=2", "--process_id=1"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (BY_HAND[1:], "--coordinator: needs --distributed"),
        (BY_HAND[:2], "--coordinator: needs --num_processes and --process_id too"),
        ([*BY_HAND[:1], *BY_HAND[2:]], "--num_processes: needs --coordinator too"),
        ([*BY_HAND, "--process_id=2"], "--process_id: 2 is not in 0 .. 1"),
        ([*BY_HAND, "--process_id=-1"], "--process_id: -1 is not in 0 .. 1"),
        ([*BY_HAND, "--num_processes=0"], "--num_processes: must be 1 to 10,000, not 0"),
        ([*BY_HAND, "--coordinator=here"], "--coordinator: 'here' is not of the form HOST:PORT"),
    ],
)
def test_contradictory_flags_are_one_line(capsys, monkeypatch, args, message):
    monkeypatch.setattr(jax.distributed, "initialize", lambda *a, **k: pytest.fail("went on"))
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_without_a_launcher_addresses_are_asked_for(tmp_path, env):
    [(code, _, err)] = ended([program(env, "--distributed", f"--workdir={tmp_path}/run")])
    assert code == 2
    assert lines(err)[0].startswith("error: --distributed: no launcher tells where")


def test_two_processes_stop_at_a_threshold_together_and_find_it_reached(tmp_path, env):
    args = [*CLASSIFIER, "--config.num_steps=40", "--config.stop_at=-train/model_loss:0.0"]
    for _ in range(2):  # the second time there is nothing left to do
        with started(env, *args, f"--workdir={tmp_path}/two") as processes:
            results = ended(processes)
        assert codes(results) == [0, 0], results
    status = json.loads((tmp_path / "two" / "status.json").read_text())
    assert (status["status"], status["step"]) == ("finished", 2)
    assert "set another config.stop_at to go on" in results[0][1]
    assert list(checksums(tmp_path / "two")) == [2]
