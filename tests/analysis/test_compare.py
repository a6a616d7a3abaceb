"""Learning rates and losses of runs in one table and one picture."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refusal, small_config
from small_runs import write_run

from analysis import compare, history, published_csv
from analysis.__main__ import main

EVERY = 25  # steps between records; an epoch has 50


@pytest.fixture
def record(tmp_path):
    """Returns a function that writes four records of two epochs in a folder of that name."""

    def write(
        name: str, *overrides: str, config: str = "classifier/digits", rate: float = 0.1, **more: list[dict]
    ) -> str:
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
        config = small_config(config, *overrides)
        return str(write_run(tmp_path / name, config, **{"train": train, "eval": held_out, **more}).path)

    return write


def test_epochs_have_the_means_of_their_records(record):
    (curve,) = compare.read_curves([record("run")])
    epochs = compare.per_epoch(curve.records[0])
    np.testing.assert_allclose(epochs["epoch"], [1, 2])
    np.testing.assert_allclose(epochs["loss"], [(1 + 1 / 2) / 2, (1 / 3 + 1 / 4) / 2])
    np.testing.assert_allclose(epochs["learning_rate"], [0.15, 0.35])
    np.testing.assert_allclose(epochs["held_out_loss"], [2, 1])


def test_runs_over_seeds_are_one_line_of_the_table_and_the_picture_is_written(record, tmp_path, capsys):
    other = "classifier.optimizer.learning_rate=0.5"
    paths = [record("a", rate=0.1), record("b", "seed=1", rate=0.3), record("c", other, rate=-1.0)]
    assert main(["compare", *paths, f"--out={tmp_path / 'x.png'}"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1][:5] == ["learning_rate=0.001", "2", "0.8", "+-", "0.57"]
    assert rows[2] == ["learning_rate=0.5", "1", "-4", "0.2917", "1", "1", "0.8", "5"]
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_what_cannot_be_compared_is_refused(record, capsys, tmp_path):
    run = record("run")
    held_out = record("v", "dataset.eval_split=validation", "dataset.validation_size=9")
    for args, message in (
        ([], "name the runs' folders first"),
        ([str(tmp_path)], "no run in"),
        ([run, record("m", config="classifier/mnist")], "other data"),
        ([run, held_out], "other data"),
        ([run, "--hue=x"], "flag 'hue'"),
    ):
        assert message in refusal(main, capsys, "compare", *args)


def test_curves_are_written_and_read_with_the_published_columns(record, tmp_path, capsys):
    run = record("run", "classifier.optimizer.name=sgd_hd", "classifier.optimizer.kwargs.beta=0.5")
    assert main(["compare", run, f"--csv={tmp_path / 'csv'}", f"--out={tmp_path / 'x.png'}"]) == 0
    file = tmp_path / "csv" / "run.csv"
    frame = pd.read_csv(file)
    columns = "Epoch,Iteration,Time,Loss,LossEpoch,ValidLossEpoch,Alpha,AlphaEpoch,Beta"
    assert list(frame) == columns.split(",")
    assert frame["Epoch"].tolist() == [1, 1, 2, 2]
    assert frame["Iteration"].tolist() == [25, 50, 75, 100]
    np.testing.assert_allclose(frame["Time"], [5, 10, 15, 20])
    np.testing.assert_allclose(frame["LossEpoch"], [np.nan, 0.75, np.nan, (1 / 3 + 1 / 4) / 2])
    np.testing.assert_allclose(frame["ValidLossEpoch"], [np.nan, 2, np.nan, 1])
    np.testing.assert_allclose(frame["AlphaEpoch"], [np.nan, 0.15, np.nan, 0.35])
    assert set(frame["Beta"]) == {0.5}
    ours, theirs = compare.read_curves([run, str(file)])
    assert theirs.label == "run (published)"
    rows = [compare.table([curve]).splitlines()[1].split() for curve in (ours, theirs)]
    assert rows[0][-7:-2] == rows[1][-7:-2] == ["1", "0.4", "0.2917", "1", "1"]  # without accuracy, speed
    capsys.readouterr()
    assert main(["compare", run, str(file), f"--out={tmp_path / 'y.png'}"]) == 0
    assert "run (published)" in capsys.readouterr().out


def lines(*steps: int, per_step: float) -> list[dict]:
    """Returns training records of some steps; their loss is the step, their rate a thousandth of it."""
    return [
        {"step": n, "epoch": n * per_step, "model_loss": float(n), "model_learning_rate": n / 1000}
        for n in steps
    ]


def test_recorded_means_over_epochs_take_the_place_of_means_of_records(record, tmp_path, capsys):
    """Reads a run of epochs of 20.5 steps, whose last one is cut off, with a record every 10 steps."""
    train = lines(0, 10, 20, 21, 30, 40, 41, 50, per_step=1 / 20.5)
    for line in train:
        line["steps_per_second"] = 10.0
    epochs = [
        {"step": 21, "epoch": 1, "model_loss": 7.0, "model_learning_rate": 0.7},
        {"step": 41, "epoch": 2, "model_loss": 3.0, "model_learning_rate": 0.3},
    ]
    held_out = [{"step": 21, "loss": 5.0}, {"step": 41, "loss": 4.0}]
    run = record("run", train=train, eval=held_out, epochs=epochs)
    assert history.read(run).epochs["seconds"].tolist() == pytest.approx([2.1, 4.1])
    (curve,) = compare.read_curves([run])
    means = compare.per_epoch(curve.records[0]).set_index("epoch")
    np.testing.assert_allclose(means.loc[[1, 2], "loss"], [7, 3])
    np.testing.assert_allclose(means.loc[[1, 2], "learning_rate"], [0.7, 0.3])
    assert np.isnan(means.loc[3, "loss"])
    assert main(["compare", run, f"--csv={tmp_path / 'csv'}", f"--out={tmp_path / 'x.png'}"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:4] == ["0.05", "3"]
    frame = pd.read_csv(tmp_path / "csv" / "run.csv").set_index("Iteration")
    assert frame["Epoch"].tolist() == [0, 1, 1, 1, 2, 2, 2, 3]
    assert frame["Loss"].tolist() == frame.index.tolist()
    assert frame["LossEpoch"].dropna().to_dict() == {21: 7.0, 41: 3.0}
    assert frame["AlphaEpoch"].dropna().to_dict() == {21: 0.7, 41: 0.3}
    assert frame["ValidLossEpoch"].dropna().to_dict() == {21: 5.0, 41: 4.0}
    later = record("later", train=train, eval=held_out, epochs=epochs[1:])
    means = compare.per_epoch(compare.read_curves([later])[0].records[0]).set_index("epoch")
    np.testing.assert_allclose(means.loc[[1, 2], "loss"], [np.mean([10, 20, 21]), 3])
    assert main(["compare", later, f"--csv={tmp_path / 'csv'}", f"--out={tmp_path / 'x.png'}"]) == 0
    frame = pd.read_csv(tmp_path / "csv" / "later.csv").set_index("Iteration")
    assert frame["LossEpoch"].dropna().to_dict() == {21: 17.0, 41: 3.0}
    without = record("without", train=train, eval=held_out)
    means = compare.per_epoch(compare.read_curves([without])[0].records[0]).set_index("epoch")
    assert means.loc[2, "loss"] == np.mean([30, 40, 41])


@pytest.mark.parametrize(
    ("text", "message"), [("", "cannot read"), ("Epoch,Loss\n1,2\n", "has no column Iter")]
)
def test_files_that_are_no_curves_are_refused(tmp_path, capsys, text, message):
    file = tmp_path / "x.csv"
    file.write_text(text)
    assert message in refusal(main, capsys, "compare", str(file))


def test_runs_of_one_name_or_without_held_out_data(record, capsys, tmp_path):
    run = Path(record("run"))
    args = (str(run), str(run), f"--csv={tmp_path / 'c'}", f"--out={tmp_path / 'x.png'}")
    assert "two runs are called 'run'" in refusal(main, capsys, "compare", *args)
    records = compare.read_curves([run])[0].records[0].drop(columns="held_out_loss").dropna(subset="loss")
    published_csv.write(records, 0.0, tmp_path / "x.csv")
    assert pd.read_csv(tmp_path / "x.csv")["ValidLossEpoch"].isna().all()
