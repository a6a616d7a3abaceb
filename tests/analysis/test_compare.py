"""Learning rates and losses of runs in one table and one picture."""

import json

import numpy as np
import pytest
from conftest import refusal, small_config

from analysis import compare, plot
from lib.runtime.run_folder import RunFolder

EVERY = 25  # steps between records; an epoch has 50


@pytest.fixture
def record(tmp_path):
    """Writes four records of two epochs in a folder of that name."""

    def write(name: str, *overrides: str, config: str = "classifier/digits", rate: float = 0.1) -> str:
        workdir = RunFolder(tmp_path / name)
        workdir.create()
        workdir.write_config(small_config(config, *overrides))
        train = [
            {
                "step": EVERY * i,
                "epoch": EVERY * i / 50,
                "model_loss": 1 / i,
                "model_learning_rate": rate * i,
                "steps_per_second": 5.0,
            }
            for i in range(1, 5)
        ]
        held_out = [{"step": 50 * i, "loss": 2 / i, "accuracy": 0.4 * i} for i in (1, 2)]
        held_out.append({"step": 100, "by": "eval", "loss": 77.0})
        for file, lines in {"train": train, "eval": held_out}.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (workdir.metrics / f"{file}.jsonl").write_text(text)
        return str(workdir.path)

    return write


def test_epochs_have_the_means_of_their_records(record):
    (curve,) = compare.of_runs([record("run")])
    found = compare.per_epoch(curve.records[0])
    np.testing.assert_allclose(found["epoch"], [1, 2])
    np.testing.assert_allclose(found["loss"], [(1 + 1 / 2) / 2, (1 / 3 + 1 / 4) / 2])
    np.testing.assert_allclose(found["learning_rate"], [0.15, 0.35])
    np.testing.assert_allclose(found["held_out_loss"], [2, 1])


def test_runs_over_seeds_are_one_line_of_the_table_and_the_picture_is_written(record, tmp_path, capsys):
    other = "classifier.optimizer.learning_rate=0.5"
    paths = [record("a", rate=0.1), record("b", "seed=1", rate=0.3), record("c", other, rate=-1.0)]
    assert plot.main(["compare", *paths, f"--out={tmp_path / 'x.png'}"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1][:5] == ["learning_rate=0.001", "2", "0.8", "+-", "0.57"]
    assert rows[2] == ["learning_rate=0.5", "1", "-4", "0.2917", "1", "1", "0.8", "5"]
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_what_cannot_be_compared_is_refused(record, capsys, tmp_path):
    run = record("run")
    assert "name the runs' folders first" in refusal(plot.main, capsys, "compare")
    assert "no run in" in refusal(plot.main, capsys, "compare", str(tmp_path))
    assert "other data" in refusal(
        plot.main, capsys, "compare", run, record("m", config="classifier/mnist")
    )
    held_out = record("v", "dataset.eval_split=validation", "dataset.validation_size=9")
    assert "other data" in refusal(plot.main, capsys, "compare", run, held_out)
    assert "flag 'hue'" in refusal(plot.main, capsys, "compare", run, "--hue=x")
