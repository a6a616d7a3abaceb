"""What is drawn of a run: its artefacts, and curves of its metrics."""

import numpy as np
import one_number
import pytest
from PIL import Image

from lib.runtime import records
from lib.runtime.records import MetricWriter
from lib.runtime.results import write_results


def write_metrics(folder, name: str, metrics: list[dict]) -> None:
    """Writes one record for each step."""
    writer = MetricWriter(folder.metrics, name, folder.tensorboard)
    for i, values in enumerate(metrics):
        writer.write(i + 1, values)
    writer.close()


def test_pictures_of_samples_and_curves(make):
    trainer = make("gan/digits")
    write_metrics(trainer.folder, records.TRAINING, [{"disc_loss": 1.0}, {"disc_loss": 2.0}])
    write_metrics(trainer.folder, records.HELD_OUT, [{"loss": 1.0}, {"loss": 2.0}])
    write_results(trainer.programs, trainer.folder, trainer.programs.init(), 4)
    names = {p.name for p in trainer.folder.figures.iterdir()}
    assert names == {"samples_0000004.png", "train.png", "eval.png"}
    for name in names:
        assert np.asarray(Image.open(trainer.folder.figures / name)).std() > 0


@pytest.mark.parametrize(("rates", "drawn"), [((0.1, 0.2), ["model_learning_rate"]), ((0.1, 0.1), [])])
def test_learning_rates_that_vary_are_drawn(tmp_path, monkeypatch, rates, drawn):
    panels = {}
    monkeypatch.setattr(
        "lib.runtime.results.metric_curves",
        lambda records, chosen, path: panels.setdefault(path.name, chosen),
    )
    trainer = one_number.trainer(tmp_path)
    write_metrics(trainer.folder, records.TRAINING, [{"model_learning_rate": rate} for rate in rates])
    write_results(trainer.programs, trainer.folder, trainer.programs.init(), 2)
    assert panels["train.png"]["learning rate"] == drawn
