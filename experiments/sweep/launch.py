"""Sends the runs of a sweep away through submitit, and waits for them: one way for here and for Slurm."""

import dataclasses
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import submitit

from experiments.sweep.batches import Batch
from experiments.sweep.job import LOG, Job, JobRun, last_word, lock_of
from experiments.sweep.plan import Planned
from lib.errors import ConfigError
from lib.runtime.files import is_locked, replacing
from lib.runtime.progress import Progress

_SECONDS_BETWEEN_POLLS = 1.0
_SECONDS_BETWEEN_QUESTIONS = 10.0  # to a Slurm that does not answer
_MINUTES = {"local": 60 * 24 * 365, "slurm": 60 * 24}  # where none are asked for
_JOB = "slurm_job.txt"
_SECONDS_TO_SAVE = 120
_ENDED = ("finished", "failed")


@dataclasses.dataclass(frozen=True)
class Resources:
    """Where runs go and what each gets; 0 and "" leave it to the cluster.

    Attributes:
      cluster: "local" or "slurm".
      jobs: how many at a time.
      lanes: how many runs of a batch side by side; 0: as many as are fastest.
      partition, minutes, gpus, memory_gb, cores: of each job.
    """

    cluster: str
    jobs: int
    lanes: int = 0
    partition: str = ""
    minutes: int = 0
    gpus: int = 0
    memory_gb: float = 0.0
    cores: int = 0


class Launcher:
    """Keeps up to `resources.jobs` jobs going until all have ended: each a batch of runs, or one run."""

    def __init__(self, folder: Path, resources: Resources):
        """Prepares to run what belongs in a sweep's folder.

        Raises:
          ConfigError: there is no Slurm here, though it is asked for.
        """
        if resources.cluster == "slurm" and not shutil.which("sbatch"):
            raise ConfigError(
                "no Slurm here (no sbatch); use local, or a login node of a cluster", "--cluster"
            )
        self._folder, self._resources = folder, resources
        # A job may run out of its time, and be queued again, as often as it takes.
        self._executor = submitit.AutoExecutor(
            folder / "jobs", cluster=resources.cluster, slurm_max_num_timeout=10**6
        )
        self._executor.update_parameters(name="sweep", **_parameters(resources))
        self._running: dict[str, tuple[Batch, int]] = {}  # {name: (batch, slot)}
        self._jobs: dict[str, submitit.Job] = {}
        self._told: set[str] = set()  # names of runs
        self._words: dict[str, int | None] = {}  # {name of a run: its last word before it is started}
        self._queue, self._asked = set(), -math.inf

    def launch(self, batches: list[Batch], to_stop: Callable[[], Iterable[str]] = tuple) -> None:
        """Starts the batches as slots come free, and waits for all of them; says how each run ended.

        Runs that another launcher has left going are waited for. Ctrl-C and SIGTERM stop those that run
        here, which save first; jobs of a cluster stay there.

        Args:
          to_stop: asked again and again for names of runs, each alone in its process, that are to save and
            stop.
        """
        waiting = list(batches)
        progress = Progress(sum(len(batch.runs) for batch in batches), unit="run", label="sweep")
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            while waiting or self._running:
                self._start(waiting)
                for name, (batch, _) in list(self._running.items()):
                    if self._is_going(name):
                        self._tell([run for run in batch.runs if self._has_ended(run)], progress)
                    elif cut_off := self._cut_off(name):
                        del self._running[name]
                        waiting.append(Batch(cut_off))
                    else:
                        self._tell(batch.runs, progress)
                        del self._running[name]
                for name in to_stop():
                    self._ask_to_stop(name)
                if waiting or self._running:
                    time.sleep(_SECONDS_BETWEEN_POLLS)
        except KeyboardInterrupt:
            self._stop()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
            progress.close()

    def _start(self, waiting: list[Batch]) -> None:
        """Fills the free slots; on a cluster, all that are sent at once make one array."""
        starting: list[tuple[Batch, int]] = []
        while waiting and len(self._running) < self._resources.jobs:
            batch = waiting.pop(0)
            known = self._known(batch)
            others = [run for run in batch.runs if run not in known]
            if known and others:  # for instance runs that were added to the sweep
                batch = Batch(known)
                waiting.insert(0, Batch(others))
            slot = min(set(range(self._resources.jobs)) - {slot for _, slot in self._running.values()})
            self._running[batch.name] = batch, slot
            self._words |= {run.name: last_word(run.folder.path) for run in batch.runs}
            if not known:
                starting.append((batch, slot))
        if self._resources.cluster == "local":
            self._jobs |= {batch.name: self._submit_here(batch, slot) for batch, slot in starting}
        elif starting:
            with self._executor.batch():
                jobs = [self._executor.submit(self._job(batch)) for batch, _ in starting]
            for (batch, _), job in zip(starting, jobs, strict=True):
                for run in batch.runs:  # a launcher that comes later finds them
                    run.folder.path.mkdir(parents=True, exist_ok=True)
                    with replacing(run.folder.path / _JOB) as temporary:
                        temporary.write_text(job.job_id)
            self._asked = -math.inf

    def _submit_here(self, batch: Batch, slot: int) -> submitit.Job:
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
        return self._executor.submit(self._job(batch, mine, env))

    def _job(
        self, batch: Batch, cores: tuple[int, ...] = (), env: Mapping[str, str | None] | None = None
    ) -> Job:
        runs = tuple(JobRun(str(run.folder.path), run.programs) for run in batch.runs)
        log = self._folder / "jobs" / f"{batch.name}.txt"
        return Job(runs, str(log), self._resources.lanes, cores, env or {})

    def _known(self, batch: Batch) -> list[Planned]:
        """Lists the runs of a batch that a process, or a job of the cluster, has."""
        return [run for run in batch.runs if _is_alive(run) or _job_id(run) in self._queued()]

    def _is_going(self, name: str) -> bool:
        job, (batch, _) = self._jobs.get(name), self._running[name]
        return bool(self._known(batch)) or (job is not None and not job.done())

    def _cut_off(self, name: str) -> list[Planned]:
        """Returns the unfinished runs of a batch that another launcher had left going here, in part."""
        if self._resources.cluster == "slurm" or name in self._jobs:
            return []
        return [run for run in self._running[name][0].runs if run.status() not in _ENDED]

    def _has_ended(self, run: Planned) -> bool:
        """Tells whether a run has ended since its job began, while the job may go on."""
        return last_word(run.folder.path) != self._words[run.name] and run.status() in _ENDED

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

    def _tell(self, runs: Sequence[Planned], progress: Progress) -> None:
        """Says of runs that have ended how they did, once."""
        for run in runs:
            if run.name in self._told:
                continue
            self._told.add(run.name)
            seconds = _seconds(run)
            status, error = run.status(), run.folder.status().get("error", "")
            if status == "new":
                error = f"it never began; see {self._folder / 'jobs'} and {run.folder.path / LOG}"
            if status == "trained":
                error = f"not scored; see {run.folder.path / LOG}"
            progress.advance(1)
            progress.print(f"{status:9} {run.name}  ({seconds:.0f} s){f': {error}' if error else ''}")
            progress.show({})

    def _ask_to_stop(self, name: str) -> None:
        """Tells the process of a batch, if it goes on, to save and stop."""
        job = self._jobs.get(name)
        if name in self._running and job is not None and not job.done():
            os.kill(int(job.job_id), signal.SIGTERM)  # submitit passes it on

    def _stop(self) -> None:
        """Tells the runs that go on here to save and stop."""
        if self._resources.cluster == "slurm":
            print("\nstopped waiting; the jobs stay with Slurm (scancel ends them)")
            return
        print("\nstopping: running runs save first")
        for name in self._jobs:
            self._ask_to_stop(name)
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


def _seconds(run: Planned) -> float:
    """Returns how long a run took since it was last opened; 0 if it never was."""
    opened, ended = run.folder.config, last_word(run.folder.path)
    return ended / 1e9 - opened.stat().st_mtime if ended and opened.exists() else 0


def _is_alive(run: Planned) -> bool:
    """Tells whether a process, of whatever launcher, works on a run."""
    return is_locked(lock_of(run.folder.path))


def _job_id(run: Planned) -> str | None:
    file = run.folder.path / _JOB
    return file.read_text(errors="replace") if file.is_file() else None


def _interrupt(number, frame):
    raise KeyboardInterrupt
