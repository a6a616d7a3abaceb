"""How long the runs of a sweep took to a threshold: `--until=METRIC:VALUE`."""

import dataclasses

from experiments.sweep.names import resolve
from experiments.sweep.sweep_folder import UNTIL, Sweep, SweepRun
from lib.errors import ConfigError
from lib.runtime.threshold import Threshold

STEPS, SECONDS = f"{UNTIL}/steps", f"{UNTIL}/seconds"
_RATE = "train/steps_per_second"


def until(sweep: Sweep, asked: str) -> Sweep:
    """Returns a sweep with the metrics `until/steps` and `until/seconds` of runs that got to a threshold.

    The step is the first one whose record of the metric is at the threshold or beyond it: downwards for
    losses and distances, upwards for all others; a minus before the name turns that round. Seconds are
    those of the steps alone, without compilation and evaluation; runs that share a process have none.

    Args:
      asked: METRIC:VALUE; a suffix of the metric's name will do. Empty: the same sweep is returned.

    Raises:
      ConfigError: an unknown metric, or a value that is no number.
    """
    if not asked:
        return sweep
    try:
        threshold = Threshold.parse(asked)
    except ConfigError as error:
        raise ConfigError(error.message, "--until") from error
    threshold = threshold._replace(metric=resolve(threshold.metric, sweep.metrics, "--until"))
    runs = [_with_facts(run, threshold) for run in sweep.runs]
    return dataclasses.replace(sweep, runs=runs)


def _with_facts(run: SweepRun, threshold: Threshold) -> SweepRun:
    """Returns a run that knows how long it took."""
    name = threshold.metric
    first = next((r for r in run.records if name in r and threshold.is_reached(r[name])), None)
    if first is None:
        return run
    facts = {STEPS: float(first["step"])}
    if seconds := _seconds(run, first["step"]):
        facts[SECONDS] = seconds
    return dataclasses.replace(run, facts=facts)


def _seconds(run: SweepRun, step: int) -> float | None:
    """Returns how long the steps up to one took; None where they were not timed.

    The first interval compiles and has no rate: it is taken to have that of the next.
    """
    rates = [(r["step"], r[_RATE]) for r in run.records if _RATE in r]
    if not rates:
        return None
    seconds, before = 0.0, 0
    for at, rate in rates:
        seconds += (min(at, step) - before) / rate
        before = at
        if at >= step:
            return seconds
    return seconds + (step - before) / rates[-1][1]
