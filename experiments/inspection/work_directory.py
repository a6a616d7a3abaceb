"""What a work directory holds: the run, its status, its last metrics, which checkpoints are sound."""

from experiments import registry
from lib.runtime import checkpoints, files, records
from lib.runtime.run_folder import RunFolder
from lib.tables import bytes_text


def describe(folder: RunFolder) -> tuple[str, bool]:
    """Returns (what is in a run's folder as text, whether all of its checkpoints are sound).

    Raises:
      ConfigError: it is not of a run.
    """
    config = registry.own_config(folder)
    place = folder.checkpoints
    saved = {step: checkpoints.is_sound(place, step) for step in checkpoints.steps(place)}
    saved = {s: sound for s, sound in saved.items() if (place / str(s)).is_dir()}  # a run removes some
    lines = [
        f"{folder.path}",
        *_rows(
            {
                "experiment": f"{config.experiment} on {config.dataset.name}, seed {config.seed}",
                "status": _status(folder, config.num_steps),
                "machine": ", ".join(f"{name} {value}" for name, value in folder.machine().items()),
                "size": bytes_text(files.size_of(folder.path)),
            }
        ),
    ]
    for title, read in (
        ("training", records.read_training),
        ("held-out data", records.read_held_out),
        ("scores", records.read_scores),
    ):
        lines += _last(title, read(folder.metrics))
    lines += ["", f"checkpoints: {len(saved)}"]
    for step, is_sound in saved.items():
        size = bytes_text(files.size_of(place / str(step)))
        lines.append(f"  {step:>12,}  {size:>9}  {'sound' if is_sound else 'DAMAGED'}")
    return "\n".join(lines), all(saved.values())


def _status(folder: RunFolder, num_steps: int) -> str:
    """Formats how far a run is, and why it ended."""
    status = folder.status()
    if not status:
        return "not begun"
    text = f"{status['status']} at step {status['step']:,} of {num_steps:,}"
    reached = f", {status['reached']} was reached" if status.get("reached") else ""
    return text + reached + (f": {status['error']}" if status.get("error") else "")


def _last(title: str, found: list[dict]) -> list[str]:
    """Returns the lines of the last record; none where there is none."""
    if not found:
        return []
    last = found[-1]
    numbers = {k: f"{v:.6g}" for k, v in last.items() if isinstance(v, float | int) and k != "step"}
    return ["", f"{title}, {len(found):,} records, the last of step {last['step']:,}", *_rows(numbers)]


def _rows(named: dict[str, str]) -> list[str]:
    width = max(map(len, named), default=0)
    return [f"  {name:{width}}  {value}" for name, value in named.items()]
