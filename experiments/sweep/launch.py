"""Sends the runs of a sweep away through submitit, and waits for them: one way for here and for Slurm."""

import dataclasses
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import submitit

from experiments.sweep.job import LOG, Job, lock_of
from experiments.sweep.plan import Planned
from lib.errors import ConfigError
from lib.runtime.files import is_locked, replacing
from lib.runtime.progress import Progress

_SECONDS_BETWEEN_POLLS = 1.0
_SECONDS_BETWEEN_QUESTIONS = 10.0  # to a Slurm that does not answer
_MINUTES = {"local": 60 * 24 * 365, "slurm": 60 * 24}  # where none are asked for
_JOB = "slurm_job.txt"
_SECONDS_TO_SAVE = 120


@dataclasses.dataclass(frozen=True)
class Resources:
    """Where runs go and what each gets; 0 and "" leave it to the cluster.

    Attributes:
      cluster: "local" or "slurm".
      jobs: how many run at a time.
      partition, minutes, gpus, memory_gb, cores: of each run.
    """

    cluster: str
    jobs: int
    partition: str = ""
    minutes: int = 0
    gpus: int = 0
    memory_gb: float = 0.0
    cores: int = 0


class Launcher:
    """Keeps up to `resources.jobs` runs going until all have ended."""

    def __init__(self, folder: Path, resources: Resources):
        """Prepares to run what belongs in a sweep's folder.

        Raises:
          ConfigError: there is no Slurm here, though it is asked for.
        """
        if resources.cluster == "slurm" and not shutil.which("sbatch"):
            raise ConfigError(
                "no Slurm here (no sbatch); use local, or a login node of a cluster", "--cluster"
            )
        self._resources = resources
        # A job may run out of its time, and be queued again, as often as it takes.
        self._executor = submitit.AutoExecutor(
            folder / "jobs", cluster=resources.cluster, slurm_max_num_timeout=10**6
        )
        self._executor.update_parameters(name="sweep", **_parameters(resources))
        self._running: dict[str, tuple[Planned, int]] = {}  # {name: (run, slot)}
        self._jobs: dict[str, submitit.Job] = {}
        self._begun: dict[str, float] = {}
        self._queue, self._asked = set(), -math.inf

    def launch(self, runs: list[Planned]) -> None:
        """Starts the runs as slots come free, and waits for all of them; says how each ended.

        Runs that another launcher has left going are waited for. Ctrl-C and SIGTERM stop those that run
        here, which save first; jobs of a cluster stay there.
        """
        waiting = list(runs)
        progress = Progress(len(runs), unit="run", label="sweep")
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            while waiting or self._running:
                self._start(waiting)
                for name in [name for name in self._running if not self._is_going(name)]:
                    if self._was_cut_off(name):
                        waiting.append(self._running.pop(name)[0])
                    else:
                        self._end(name, progress)
                if waiting or self._running:
                    time.sleep(_SECONDS_BETWEEN_POLLS)
        except KeyboardInterrupt:
            self._stop()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
            progress.close()

    def _start(self, waiting: list[Planned]) -> None:
        """Fills the free slots; on a cluster, all that are sent at once make one array."""
        starting: list[tuple[Planned, int]] = []
        while waiting and len(self._running) < self._resources.jobs:
            run = waiting.pop(0)
            name = run.name
            slot = min(set(range(self._resources.jobs)) - {slot for _, slot in self._running.values()})
            self._running[name], self._begun[name] = (run, slot), time.monotonic()
            if not (_is_alive(run) or _job_id(run) in self._queued()):
                starting.append((run, slot))
        if self._resources.cluster == "local":
            self._jobs |= {run.name: self._submit_here(run, slot) for run, slot in starting}
        elif starting:
            with self._executor.batch():
                jobs = [self._executor.submit(_job(run)) for run, _ in starting]
            for (run, _), job in zip(starting, jobs, strict=True):  # a launcher that comes later finds them
                run.folder.path.mkdir(parents=True, exist_ok=True)
                with replacing(run.folder.path / _JOB) as temporary:
                    temporary.write_text(job.job_id)
            self._asked = -math.inf

    def _submit_here(self, run: Planned, slot: int) -> submitit.Job:
        """Submits a job with the slot's share of the cores and of the accelerators."""
        jobs, gpus = self._resources.jobs, self._resources.gpus
        cores = sorted(os.sched_getaffinity(0))
        share = max(1, len(cores) // jobs)
        mine = tuple((cores * 2)[slot * share % len(cores) :][:share])
        seen = ",".join(map(str, range(slot * gpus, (slot + 1) * gpus))) if gpus else None
        env = {
            # submitit hides all accelerators; without --gpus a run sees what the launcher sees.
            "CUDA_VISIBLE_DEVICES": seen or os.environ.get("CUDA_VISIBLE_DEVICES"),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false" if jobs > 1 and not gpus else None,  # they share it
        }
        return self._executor.submit(_job(run, mine, env))

    def _is_going(self, name: str) -> bool:
        job, (run, _) = self._jobs.get(name), self._running[name]
        if self._resources.cluster == "slurm":
            return _is_alive(run) or _job_id(run) in self._queued()
        return _is_alive(run) or (job is not None and not job.done())

    def _was_cut_off(self, name: str) -> bool:
        """Tells whether a run that another launcher had left going here was killed soon after it."""
        ours = self._resources.cluster == "slurm" or name in self._jobs
        return not ours and self._running[name][0].status() not in ("finished", "failed")

    def _queued(self) -> set[str]:
        """Lists the jobs that Slurm knows, asked at most once a poll; waits while it does not answer."""
        if self._resources.cluster != "slurm":
            return set()
        if time.monotonic() - self._asked > _SECONDS_BETWEEN_POLLS:
            command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
            while (done := subprocess.run(command, capture_output=True, text=True)).returncode:
                print(f"waiting for Slurm: {done.stderr.strip()}", flush=True)
                time.sleep(_SECONDS_BETWEEN_QUESTIONS)
            self._queue = set(done.stdout.split())
            self._asked = time.monotonic()
        return self._queue

    def _end(self, name: str, progress: Progress) -> None:
        """Frees the slot of a run that has ended, and says how it ended."""
        run, _ = self._running.pop(name)
        seconds = time.monotonic() - self._begun[name]
        status, error = run.status(), run.folder.status().get("error", "")
        if status == "new":
            error = f"it never began; see {run.folder.path.parent / 'jobs'} and {run.folder.path / LOG}"
        if status == "trained":
            error = f"not scored; see {run.folder.path / LOG}"
        progress.advance(1)
        progress.print(f"{status:9} {name}  ({seconds:.0f} s){f': {error}' if error else ''}")
        progress.show({})

    def _stop(self) -> None:
        """Tells the runs that go on here to save and stop."""
        if self._resources.cluster == "slurm":
            print("\nstopped waiting; the jobs stay with Slurm (scancel ends them)")
            return
        print("\nstopping: running runs save first")
        for name, job in self._jobs.items():
            if name in self._running and not job.done():
                os.kill(int(job.job_id), signal.SIGTERM)  # submitit passes it on
        until = time.monotonic() + _SECONDS_TO_SAVE
        while time.monotonic() < until and any(self._is_going(name) for name in self._running):
            time.sleep(0.1)


def _parameters(resources: Resources) -> dict:
    """Returns what a run gets, by submitit's names."""
    named = {
        "timeout_min": resources.minutes or _MINUTES[resources.cluster],
        "mem_gb": resources.memory_gb,
        "gpus_per_node": resources.gpus,
        "cpus_per_task": resources.cores,
    }
    named = {name: value for name, value in named.items() if value}
    if resources.cluster == "slurm":
        named |= {"slurm_array_parallelism": resources.jobs, "slurm_use_srun": True}
        if resources.partition:
            named["slurm_partition"] = resources.partition
    return named


def _job(run: Planned, cores: tuple[int, ...] = (), env: Mapping[str, str | None] | None = None) -> Job:
    return Job(str(run.folder.path), run.programs, cores, env or {})


def _is_alive(run: Planned) -> bool:
    """Tells whether a process, of whatever launcher, works on a run."""
    return is_locked(lock_of(run.folder.path))


def _job_id(run: Planned) -> str | None:
    file = run.folder.path / _JOB
    return file.read_text(errors="replace") if file.is_file() else None


def _interrupt(number, frame):
    raise KeyboardInterrupt
