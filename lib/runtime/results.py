"""What a run shows of a state: the experiment's artefacts, and curves of the metrics so far."""

from pathlib import Path
from typing import Any

from lib.experiment import State
from lib.pictures.metrics import by_panel, metric_curves
from lib.runtime import records, streams
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

_POINTS = 5000  # of a curve


def write_results(
    programs: Programs, folder: RunFolder, state: State, step: int, means: dict[str, Any] | None = None
) -> list[Path]:
    """Writes the experiment's pictures and arrays of a whole state, and curves of the metrics so far.

    The pictures go to TensorBoard too.

    All processes of a run call it; the one whose folder it is writes.

    Args:
      means: over the held-out split; if None, they are computed once an artefact asks for them.

    Returns:
      The experiment's pictures.
    """
    pictures = []

    def held_out_means() -> dict[str, Any]:
        return programs.means(programs.place(state)) if means is None else means

    if artefacts := programs.experiment.outputs.get("artefacts"):
        made = artefacts(state, streams.pictures_key(), held_out_means)
        if folder.ours:
            for name, artefact in made.items():
                if picture := artefact.write(folder.path, name, step):
                    records.append_picture(folder.tensorboard, picture, step)
                    pictures.append(picture)
    if folder.ours:
        _draw_curves(folder, programs.experiment.main_metrics)
    return pictures


def _draw_curves(folder: RunFolder, main_metrics: tuple[str, ...]) -> None:
    """Draws figures/train.png and figures/eval.png, the curves of the records of these names."""
    training = records.read_training(folder.metrics, _POINTS)
    held_out = records.read_held_out(folder.metrics, _POINTS)
    names = dict.fromkeys(name for r in training[-1:] for name in r)
    panels = {"loss": [n for n in names if n.endswith("loss")]}
    panels |= by_panel(n for n in main_metrics if not n.endswith("loss"))
    rates = [n for n in names if n.endswith("learning_rate")]
    panels["learning rate"] = [n for n in rates if len({r.get(n) for r in training}) > 1]
    metric_curves(training, panels, folder.figures / f"{records.TRAINING}.png")
    scores = by_panel(n for r in held_out[-1:] for n in r if n != "step")
    metric_curves(held_out, scores, folder.figures / f"{records.HELD_OUT}.png")
