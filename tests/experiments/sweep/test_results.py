"""Tables of a sweep's runs against the numbers that the runs were written with."""

import numpy as np
import pandas as pd
import pytest

from experiments.sweep import results
from experiments.sweep.frames import gather, seed_statistics
from experiments.sweep.names import resolve, shorten
from lib.errors import ConfigError

RATE = "gan.optimizers.disc.learning_rate"


def test_one_row_per_run_with_overrides_status_and_the_last_values(sweep):
    sweep.run(
        {RATE: 0.01, "seed": 1},
        step=20,
        train=[{"step": 10, "loss": 3.0}, {"step": 20, "loss": 2.0, "steps_per_second": 9.0}],
        test=[{"step": 20, "accuracy": 0.5}],
        by_eval=[
            # A later line of an earlier step: it was scored again.
            {
                "step": 20,
                "a_frechet": 7.0,
                "a_frechet_std": 0.1,
                "splits": 5,
                "network": "a",
                "classes": [1],
            },
            {
                "step": 10,
                "a_frechet": 8.0,
                "a_frechet_std": 0.1,
                "splits": 5,
                "network": "a",
                "classes": [1],
            },
        ],
    )
    sweep.run({RATE: 0.1, "seed": 1}, status="failed", error="step 3: not finite: loss")
    sweep.run({RATE: 1.0, "seed": 1}, status="not begun")
    frame = gather(sweep.folder)
    assert list(frame.columns[:7]) == ["name", RATE, "seed", "status", "step", "program", "error"]
    assert set(frame.columns[7:]) == {
        "train/loss",
        "train/steps_per_second",
        "test/accuracy",
        "eval/a_frechet",
    }
    assert frame[RATE].tolist() == [0.01, 0.1, 1.0]
    assert frame["status"].tolist() == ["finished", "failed", "not begun"]
    assert frame["error"].tolist() == ["", "step 3: not finite: loss", ""]
    assert frame["step"].tolist() == [20, 0, pd.NA]
    done = frame.iloc[0]
    assert (done["train/loss"], done["test/accuracy"], done["eval/a_frechet"]) == (2.0, 0.5, 7.0)
    assert frame.iloc[1:, 7:].isna().all(axis=None)


def test_training_that_goes_on_is_as_far_as_its_metrics(sweep):
    sweep.run({"seed": 1}, status="training", step=0, train=[{"step": 30, "loss": 1.0}])
    frame = gather(sweep.folder)
    assert (frame["status"][0], frame["step"][0]) == ("killed", 30)  # no process holds its lock


def test_best_values_are_those_of_the_step_of_the_best_record(sweep):
    sweep.run(
        {"seed": 1},
        step=30,
        train=[{"step": n, "loss": n / 10.0} for n in (10, 20, 30)],
        test=[{"step": 10, "accuracy": 0.2}, {"step": 20, "accuracy": 0.9}, {"step": 30, "accuracy": 0.4}],
        by_eval=[{"step": 10, "FID": 5.0}, {"step": 30, "FID": 3.0}],
    )
    sweep.run({"seed": 2}, status="failed")

    def values(metric):
        columns = ["step", "train/loss", "test/accuracy", "eval/FID"]
        return gather(sweep.folder, "best", metric).iloc[0][columns]

    assert values("accuracy").tolist() == [20, 2.0, 0.9, 5.0]  # the FID of the newest score by then
    assert values("eval/FID").tolist() == [30, 3.0, 0.4, 3.0]  # lower is better
    assert values("loss").tolist()[:3] == [10, 1.0, 0.2]
    assert np.isnan(gather(sweep.folder, "best", "FID")["eval/FID"][1])
    with pytest.raises(ConfigError, match="unknown name 'FDI'.*did you mean 'FID'"):
        gather(sweep.folder, "best", "FDI")


def test_means_and_spreads_over_seeds(grid):
    stats = seed_statistics(gather(grid.folder))
    assert len(stats) == 6
    frame = gather(grid.folder)
    for key, row in stats["train/loss"].iterrows():
        optimizer, rate, _ = key
        same = (frame["gan.optimizers.disc.name"] == optimizer) & (frame[RATE] == rate)
        values = frame["train/loss"][same & (frame["status"] == "finished")].to_numpy()
        failed = (optimizer, rate) == ("adam", 0.1)
        assert row["count"] == len(values) == (2 if failed else 3)
        np.testing.assert_allclose(row["mean"], np.mean(values), rtol=1e-12)
        np.testing.assert_allclose(row["std"], np.std(values, ddof=1), rtol=1e-12)
        assert row["std"] > 0


def test_one_seed_has_no_spread_and_unset_fields_are_a_group(sweep):
    for overrides, value in (
        ({"a": 1, "seed": 1}, 2.0),
        ({"a": 1, "seed": 2}, 4.0),
        ({"seed": 1}, 5.0),
        ({"a": [1, 2], "seed": 1}, 6.0),
        ({"a": None, "seed": 2}, 7.0),
    ):
        sweep.run(overrides, train=[{"step": 1, "loss": value}])
    stats = seed_statistics(gather(sweep.folder))["train/loss"]
    assert stats["mean"].tolist() == [3.0, 6.0, 6.0]
    assert stats["count"].tolist() == [2, 2, 1]
    assert stats["std"].isna().tolist() == [False, False, True]


def test_a_sweep_over_seeds_alone_is_one_group(sweep):
    for seed, value in ((1, 1.0), (2, 2.0), (3, 6.0)):
        sweep.run({"seed": seed}, train=[{"step": 1, "loss": value}])
    (row,) = seed_statistics(gather(sweep.folder))["train/loss"].itertuples(index=False)
    np.testing.assert_allclose(row, [3.0, np.std([1, 2, 6], ddof=1), 3])


def test_show_prints_the_tables_and_writes_the_files(grid, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    results.show(grid.folder)
    out = capsys.readouterr().out
    assert "18 runs: 17 finished, 1 failed" in out
    assert "all with num_steps=10" in out
    lines = out.splitlines()
    header = next(line for line in lines if "status" in line)
    assert header.split() == ["disc.name", "learning_rate", "seed", "status", "step", "train/loss"]
    values = [np.exp(-10 * 0.01) + s**2 * 0.01 for s in (1, 2, 3)]
    spread = f"{np.mean(values):.4g} +- {np.std(values, ddof=1):.2g}"
    assert ["sgd", "0.01", "3", *spread.split()] in [line.split() for line in lines]
    assert "  name=adam,learning_rate=0.1,seed=3,num_steps=10: step 6: not finite: loss" in lines
    written = pd.read_csv(grid.folder / "results.csv")
    assert written.shape == (18, 10)
    np.testing.assert_array_equal(written["train/loss"], gather(grid.folder)["train/loss"])
    assert (grid.folder / "report.html").exists()


def test_a_narrow_terminal_leaves_out_metrics_and_says_how_many(sweep):
    names = [f"a_long_name_of_a_metric_{i}" for i in range(6)]
    sweep.run({RATE: 0.1, "seed": 1}, train=[{"step": 1, **dict.fromkeys(names, 1.0)}])
    sweep.run({RATE: 0.2, "seed": 1}, train=[{"step": 1, **dict.fromkeys(names, 1.0)}])
    text = results.tables(gather(sweep.folder), 100)
    assert max(map(len, text.splitlines())) <= 100
    assert "(4 more columns in results.csv and report.html)" in text
    assert text.count("a_long_name") == 2


@pytest.mark.parametrize("status", ["not begun", "failed"])
def test_show_of_runs_without_any_metrics(sweep, capsys, status):
    sweep.run({"seed": 1}, status=status, error="no disk")
    sweep.run({"seed": 2}, status=status, error="no disk")
    results.show(sweep.folder)
    assert f"2 runs: 2 {status}" in capsys.readouterr().out


def test_a_folder_without_a_sweep_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no sweep.json in '.*': name a folder that ./run.sh sweep"):
        results.show(tmp_path)
    (tmp_path / "sweep.json").write_text('{"runs": [')
    with pytest.raises(ConfigError, match="sweep.json' is damaged"):
        results.show(tmp_path)


def test_names_are_shortened_to_what_is_unambiguous():
    names = ["gan.optimizers.disc.name", "gan.optimizers.gen.learning_rate", "a.seed", "seed", "b/loss"]
    assert shorten(names) == {
        names[0]: "disc.name",  # a table of runs has a column `name`
        names[1]: "learning_rate",
        names[2]: "a.seed",
        names[3]: "seed",
        names[4]: "loss",
    }
    assert resolve("gen.learning_rate", names, "--x") == names[1]
    assert resolve("seed", names, "--x") == "seed"
    with pytest.raises(ConfigError, match="--x: 'loss' may be train/loss or test/loss; write more of it"):
        resolve("loss", ["train/loss", "test/loss"], "--x")
    with pytest.raises(ConfigError, match="--x: unknown name 'learning_rat'; did you mean 'learning_rate'"):
        resolve("learning_rat", names, "--x")
