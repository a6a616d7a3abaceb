"""How long the runs of a sweep took to a threshold: `--until=METRIC:VALUE`."""

import dataclasses
import math

from experiments.sweep.names import resolve
from experiments.sweep.sweep_folder import UNTIL, Sweep, SweepRun
from lib.errors import ConfigError
from lib.runtime.records import lower_is_better

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
    name, colon, text = asked.rpartition(":")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not colon or math.isnan(value):
        raise ConfigError(f"'{asked}' is no METRIC:VALUE, such as train/model_loss:0.29", "--until")
    metric = resolve(name.removeprefix("-"), sweep.metrics, "--until")
    falls = lower_is_better(metric) != name.startswith("-")
    runs = [_with_record(run, metric, value, falls) for run in sweep.runs]
    return dataclasses.replace(sweep, runs=runs)


def _with_record(run: SweepRun, metric: str, value: float, falls: bool) -> SweepRun:
    """Returns a run with one more record, of how long it took."""
    sign = 1 if falls else -1
    reached = (r for r in run.records if metric in r and sign * r[metric] <= sign * value)
    first = next(reached, None)
    if first is None:
        return run
    record = {"step": run.records[-1]["step"], STEPS: float(first["step"])}
    if seconds := _seconds(run, first["step"]):
        record[SECONDS] = seconds
    return dataclasses.replace(run, records=[*run.records, record])


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
