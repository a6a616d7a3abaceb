"""Searches: trials of a sweep's config that Optuna chooses, in waves, each trial an ordinary run.

What was asked and told lies in the sweep's folder, in optuna.journal: a search that was stopped or killed
goes on, and with the same seed and the same results it asks the same. TPE: Bergstra et al., 'Algorithms for
Hyper-Parameter Optimization', NeurIPS 2011; Akiba et al., 'Optuna', KDD 2019.
"""

import dataclasses
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sweep import sweep_folder
from experiments.sweep.goal import Goal
from experiments.sweep.plan import Planned
from lib import sweeps
from lib.errors import ConfigError, nearest
from lib.runtime.run_folder import RunFolder
from lib.sweeps import Dimension, Overrides

_STUDY = "search"
_SPACE = "space"  # an attribute of the study
_PRUNED, _REFUSED, _TIMES = "pruned", "refused", "times"  # and of trials
_MOST_TIMES = 3  # that a run is begun, if it is killed each time
_JOURNAL = "optuna.journal"  # in the sweep's folder
_AT_RANDOM = 10  # trials before the sampler has something to go by
_WAVE = 4  # trials at once, at least
_DIGITS = 6  # of a value, so that names of runs are short


def optuna():
    """Imports and returns the module optuna.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        import optuna as module
    except ImportError as error:
        text = "needs Optuna; .venv/bin/uv pip install --python .venv/bin/python optuna"
        raise ConfigError(text, "--trials") from error
    module.logging.set_verbosity(module.logging.WARNING)
    warnings.filterwarnings("ignore", category=module.exceptions.ExperimentalWarning)
    return module


class Search:
    """A study of Optuna about the runs of a sweep's folder."""

    def __init__(self, folder: Path, space: Sequence[Dimension], goal: Goal, seed: int, pruner: Any = None):
        """Opens the folder's study, or begins it.

        Args:
          pruner: of `make_pruner`; None: no run is stopped.

        Raises:
          ConfigError: the folder's search is another one.
        """
        self._optuna, self._folder, self._goal, self._seed = optuna(), folder, goal, seed
        self._space = space
        folder.mkdir(parents=True, exist_ok=True)
        _cut_off_half_a_line(folder / _JOURNAL)
        storages = self._optuna.storages
        backend = storages.journal.JournalFileBackend(str(folder / _JOURNAL))
        self._study = self._optuna.create_study(
            study_name=_STUDY,
            storage=storages.JournalStorage(backend),
            direction="minimize" if goal.minimize else "maximize",
            pruner=pruner,
            load_if_exists=True,
        )
        asked = json.dumps([goal.metric, goal.minimize, *map(dataclasses.astuple, space)])
        if self._study.user_attrs.get(_SPACE, asked) != asked:
            text = f"the search in '{folder}' has another space or metric; name another folder"
            raise ConfigError(text, "--workdir")
        self._study.set_user_attr(_SPACE, asked)

    def __len__(self) -> int:
        """Returns how many trials were asked for."""
        return len(self._study.get_trials(deepcopy=False))

    def wave(self, trials: int, jobs: int) -> list[Any]:
        """Returns the trials to run next: those that were asked for and not told, or new ones; none: done.

        Args:
          trials: how many there are to be.
          jobs: how many run at a time.
        """
        states = self._optuna.trial.TrialState
        left = self._study.get_trials(deepcopy=False, states=(states.RUNNING,))
        if left:
            return [self._begun_again(trial) for trial in left]
        n = len(self)
        most = _AT_RANDOM if n < _AT_RANDOM else max(_WAVE, 2 * jobs)
        return [self._ask() for _ in range(min(most, trials - n))]

    def _ask(self) -> Any:
        """Asks for one trial; what it is depends on the seed and on the trials before it alone."""
        self._use_seed_of(len(self))
        return self._suggested(self._study.ask())

    def _begun_again(self, frozen: Any) -> Any:
        """Returns a trial that was asked for and not told; what a kill has left out of it is chosen now."""
        self._use_seed_of(frozen.number)
        return self._suggested(self._optuna.trial.Trial(self._study, frozen._trial_id))

    def _use_seed_of(self, number: int) -> None:
        seed = np.random.SeedSequence([self._seed, number]).generate_state(1)[0]
        self._study.sampler = self._optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=_AT_RANDOM)

    def _suggested(self, trial: Any) -> Any:
        for dimension in self._space:
            _suggest(trial, dimension)
        return trial

    def _frozen(self, trial: Any) -> Any:
        """Returns what the study knows of a trial now."""
        return self._study.get_trials(deepcopy=False)[trial.number]

    def overrides(self, trial: Any) -> Overrides:
        """Returns the overrides of a trial's run."""
        return {d.field: _value(d, trial.params[d.field]) for d in self._space}

    def all_overrides(self) -> sweeps.Sweep:
        """Returns those of all trials in order, without refused ones; trials that are alike share a run."""
        trials = self._study.get_trials(deepcopy=False)
        runs = [self.overrides(trial) for trial in trials if _REFUSED not in trial.user_attrs]
        return [run for i, run in enumerate(runs) if run not in runs[:i]]

    def to_prune(self, going: Sequence[tuple[Any, str]]) -> list[str]:
        """Reports what runs have measured; returns the names of those that are worse than others were.

        Trials whose runs are finished are told, so that the others are compared with them.

        Args:
          going: (trial, name of its run).
        """
        stopped = []
        for trial, name in going:
            known = self._frozen(trial)
            if known.state.is_finished() or self.is_pruned(trial):
                continue
            for step, value in self._measured(name):
                if step not in known.intermediate_values:
                    trial.report(value, step)
            if RunFolder(self._folder / name).status().get("status") == "finished":
                self.tell(trial, name)
            elif trial.should_prune():
                trial.set_user_attr(_PRUNED, True)
                stopped.append(name)
        return stopped

    def is_pruned(self, trial: Any) -> bool:
        """Tells whether a trial's run was to stop because others were better."""
        return trial.user_attrs.get(_PRUNED, False)

    def has_finished(self) -> bool:
        """Tells whether any trial is finished."""
        return any(t.state == self._optuna.trial.TrialState.COMPLETE for t in self._study.get_trials())

    def name_of(self, trial: Any, planned: Sequence[Planned]) -> str:
        """Returns the name of a trial's run."""
        overrides = self.overrides(trial)
        return next(run.name for run in planned if run.overrides == overrides)

    def tell(self, trial: Any, name: str) -> None:
        """Tells the study what came of a trial's run, once it has ended.

        Raises:
          ConfigError: the run has no such metric.
        """
        if self._frozen(trial).state.is_finished():
            return
        states, written = self._optuna.trial.TrialState, RunFolder(self._folder / name).status()
        status, error = written.get("status"), written.get("error", "")
        measured = self._measured(name)
        if status == "finished":
            if not measured:
                hint = nearest(self._goal.metric, self._known(name))
                raise ConfigError(f"'{name}' has no {self._goal.metric}{hint}", "--metric")
            self._study.tell(trial, measured[-1][1])
        elif self.is_pruned(trial) or "not finite" in error:  # the sampler stays away from both
            self._study.tell(trial, state=states.PRUNED)
        elif status == "failed" or self._begun_too_often(trial):
            self._study.tell(trial, state=states.FAIL)

    def _begun_too_often(self, trial: Any) -> bool:
        """Counts one more time that a trial's run was begun and did not end."""
        times = self._frozen(trial).user_attrs.get(_TIMES, 0) + 1
        trial.set_user_attr(_TIMES, times)
        return times >= _MOST_TIMES

    def refuse(self, trial: Any, reason: str) -> None:
        """Tells the study that a trial's overrides do not fit the config."""
        trial.set_user_attr(_REFUSED, reason)
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def summary(self) -> str:
        """Formats how many trials ended how, and the best one."""
        trials = self._study.get_trials(deepcopy=False)
        states = self._optuna.trial.TrialState
        named = {"finished": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        counts = {name: sum(t.state == state for t in trials) for name, state in named.items()}
        text = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
        if not counts["finished"]:
            return f"{len(trials)} trials: {text}"
        best = self._study.best_trial
        chosen = " ".join(f"--config.{f}={v}" for f, v in self.overrides(best).items())
        return f"{len(trials)} trials: {text}; best {self._goal.metric} {best.value:.6g}\n  {chosen}"

    def draw(self) -> None:
        """Draws the history, what matters, and all trials as lines into `search/`."""
        states = self._optuna.trial.TrialState
        if len(self._study.get_trials(deepcopy=False, states=(states.COMPLETE,))) < 2:
            return
        drawn = self._optuna.visualization.matplotlib
        plots: dict[str, Callable] = {
            "1 history": drawn.plot_optimization_history,
            "2 importance": drawn.plot_param_importances,
            "3 trials": drawn.plot_parallel_coordinate,
        }
        folder = self._folder / sweep_folder.SEARCH
        folder.mkdir(exist_ok=True)
        for name, plot in plots.items():
            figure = plot(self._study).figure
            figure.savefig(folder / f"{name}.png", dpi=80, bbox_inches="tight")
            figure.clear()

    def _measured(self, name: str) -> list[tuple[int, float]]:
        """Returns (step, value) of the metric along a run."""
        records = sweep_folder.records_of(RunFolder(self._folder / name))
        return [(r["step"], r[self._goal.metric]) for r in records if self._goal.metric in r]

    def _known(self, name: str) -> set[str]:
        records = sweep_folder.records_of(RunFolder(self._folder / name))
        return {metric for record in records for metric in record} - {"step"}


def make_pruner(name: str, every: int, steps: int) -> Any:
    """Makes a pruner: median, or hyperband.

    Args:
      every: steps between the measurements that it compares.
      steps: of a run.
    """
    pruners = optuna().pruners
    if name == "median":
        return pruners.MedianPruner()
    return pruners.HyperbandPruner(min_resource=every, max_resource=steps)


def _cut_off_half_a_line(journal: Path) -> None:
    """Takes the end of a journal off that a kill or a power cut has left without its line's end."""
    if journal.exists() and not (data := journal.read_bytes()).endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _suggest(trial: Any, d: Dimension) -> None:
    if d.choices:
        trial.suggest_categorical(d.field, d.choices)
    elif isinstance(d.low, int) and isinstance(d.high, int):
        trial.suggest_int(d.field, d.low, d.high, log=d.log)
    else:
        trial.suggest_float(d.field, d.low, d.high, log=d.log)


def _value(d: Dimension, value: Any) -> Any:
    """Returns a value as runs have it: of a few digits, within its bounds."""
    if not isinstance(value, float) or d.choices:
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), d.low), d.high)
