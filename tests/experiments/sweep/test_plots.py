"""Pictures of a sweep: what they draw, against NumPy, and that the files are not blank."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from analysis.__main__ import main
from experiments.sweep.plots import draw
from lib.pictures.colours import COLOURS

RATES, SEEDS = (0.001, 0.01, 0.1), (1, 2, 3)


def losses(optimizer: str, rate: float, step: int = 10) -> np.ndarray:
    """Returns the last losses of the runs of `grid` that have not failed, by seed."""
    seeds = np.array(SEEDS[:2] if (optimizer, rate, step) == ("adam", 0.1, 10) else SEEDS)
    return np.exp(-step * rate) + seeds**2 * rate + (optimizer == "adam")


def test_curves_are_means_with_standard_deviations_on_a_log_axis(grid):
    (axis,) = draw(grid.folder, "learning_rate", "loss", "disc.name").axes
    assert axis.get_xscale() == "log"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("gan.optimizers.disc.learning_rate", "train/loss")
    for bars, optimizer in zip(axis.containers, ("sgd", "adam"), strict=True):
        line, _, (segments,) = bars.lines
        values = [losses(optimizer, rate) for rate in RATES]
        mean, std = np.array([v.mean() for v in values]), np.array([v.std(ddof=1) for v in values])
        assert bars.get_label() == optimizer
        np.testing.assert_allclose(line.get_xdata(), RATES)
        np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-12)
        ends = np.array([segment[:, 1] for segment in segments.get_segments()])
        np.testing.assert_allclose(ends, np.stack([mean - std, mean + std], 1), rtol=1e-12)
        assert (std > 1e-3).all()
    assert axis.get_title(loc="left") == "mean and standard deviation over seed"


def test_a_mean_over_another_field_says_so(grid):
    (axis,) = draw(grid.folder, "learning_rate", "loss").axes
    assert axis.get_title(loc="left") == "mean and standard deviation over disc.name, seed"


def test_categories_lie_side_by_side(grid):
    (axis,) = draw(grid.folder, "disc.name", "loss", "learning_rate").axes
    assert [t.get_text() for t in axis.get_xticklabels()] == ["sgd", "adam"]
    at = np.array([bars.lines[0].get_xdata() for bars in axis.containers])  # [rates, optimisers]
    assert len(np.unique(at)) == 6
    np.testing.assert_array_equal(np.round(at), [[0, 1]] * 3)
    assert all(bars.lines[0].get_linestyle() == "None" for bars in axis.containers)


def test_dollars_are_text_and_a_field_that_is_not_set_is_a_category(sweep):
    for overrides in ({"a": r"$\wrong$"}, {"seed": 1}):
        sweep.run(overrides, train=[{"step": 1, "loss": 1.0}])
    figure = draw(sweep.folder, "a", "loss", "seed")
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == [r"\$\wrong\$", "not set"]
    figure.savefig(io.BytesIO())


def test_evenly_spaced_values_have_a_linear_axis(sweep):
    for batch_size in (1, 2, 3, 4):
        sweep.run({"batch_size": batch_size}, train=[{"step": 1, "loss": 1.0}])
    assert draw(sweep.folder, "batch_size", "loss").axes[0].get_xscale() == "linear"


def test_learning_curves_are_means_at_each_step(grid):
    (axis,) = draw(grid.folder, "step", "loss", "learning_rate").axes
    for line, band, rate in zip(axis.lines, axis.collections, RATES, strict=True):
        # Both optimisers; the failed run counts until it broke.
        values = [np.concatenate([losses(o, rate, n) for o in ("sgd", "adam")]) for n in (5, 10)]
        assert [len(v) for v in values] == ([6, 5] if rate == 0.1 else [6, 6])
        mean, std = np.array([(v.mean(), v.std(ddof=1)) for v in values]).T
        np.testing.assert_array_equal(line.get_xdata(), [5, 10])
        np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-12)
        ends = band.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose((ends.min(), ends.max()), ((mean - std).min(), (mean + std).max()))


def test_a_heat_map_has_the_means_in_its_cells(grid):
    axis, bar = draw(grid.folder, "learning_rate", "disc.name", "loss").axes
    numbers = [text.get_text() for text in axis.texts]
    assert numbers == [f"{losses(o, r).mean():.3g}" for o in ("sgd", "adam") for r in RATES]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["sgd", "adam"]
    assert bar.get_ylabel() == "train/loss"


def test_a_cell_without_a_sound_run_is_a_dash(sweep):
    for a, b, status in ((1, 1, "finished"), (1, 2, "failed"), (2, 1, "finished")):
        sweep.run({"a": a, "b": b}, status, train=[{"step": 1, "loss": 1.5}])
    assert [t.get_text() for t in draw(sweep.folder, "a", "b", "loss").axes[0].texts] == [
        *("1.5", "1.5"),
        *("–", "–"),
    ]


def test_best_values_are_drawn(sweep):
    for seed in SEEDS:
        records = [{"step": n, "loss": float(abs(n - 2) + seed)} for n in (1, 2, 3)]
        sweep.run({"a": 1, "seed": seed}, train=records)
    last, best = (draw(sweep.folder, "a", "loss", select=s).axes[0] for s in ("last", "best"))
    assert [axis.containers[0].lines[0].get_ydata()[0] for axis in (last, best)] == [3.0, 2.0]
    assert best.get_ylabel() == "best train/loss"


def colours_of(path) -> set:
    with Image.open(path) as image:
        return {tuple(c) for c in np.asarray(image.convert("RGB")).reshape(-1, 3)}


def rgb(colour: str) -> tuple:
    return tuple(round(255 * x) for x in to_rgb(colour))


@pytest.mark.parametrize("x", ["learning_rate", "step", "disc.name"])
def test_files_of_curves_have_a_colour_for_each_value(grid, capsys, x):
    assert main(["sweep", str(grid.folder), f"--x={x}", "--y=loss", "--hue=seed"]) == 0
    path = grid.folder / "figures" / f"loss-{x}-seed.png"
    assert capsys.readouterr().out == f"{path}\n"
    found = colours_of(path)
    assert {rgb(c) for c in COLOURS[:3]} <= found
    assert rgb(COLOURS[3]) not in found


def test_file_of_a_heat_map(grid, tmp_path):
    path = tmp_path / "new" / "map.png"
    args = ["--x=learning_rate", "--y=disc.name", "--hue=loss", f"--out={path}"]
    assert main(["sweep", str(grid.folder), *args]) == 0
    assert {rgb("#440154"), rgb("#fde725")} <= colours_of(path)  # both ends of viridis
    assert [p.name for p in path.parent.iterdir()] == ["map.png"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "plot: name a picture; known: "),
        (["swep"], "did you mean 'sweep'?"),
        (["sweep"], "name the sweep's folder first"),
        (["sweep", "{tmp}", "--x=step", "--y=loss"], "no sweep.json in"),
        (["sweep", "{grid}", "--x=step"], "--y: missing"),
        (["sweep", "{grid}", "--x=step", "--y=los"], "--y: unknown name 'los'; did you mean 'loss'?"),
        (["sweep", "{grid}", "--x=learningrate", "--y=loss"], "did you mean 'learning_rate'?"),
        (["sweep", "{grid}", "--x=step", "--y=loss", "--hue=sead"], "--hue: unknown name"),
        (["sweep", "{grid}", "--x=loss", "--y=loss"], "--x: unknown name"),
        (["sweep", "{grid}", "--x=seed", "--y=disc.name"], "--hue: name the metric"),
        (["sweep", "{grid}", "--x=seed", "--y=seed", "--hue=loss"], "--x: seed is --y as well"),
        (["sweep", "{grid}", "--x=seed", "--y=loss", "--hue=seed"], "--x: seed is --hue as well"),
        (["sweep", "{grid}", "--x=step", "--y=loss", "--select=best"], "--x: "),
        (
            ["sweep", "{grid}", "--x=seed", "--y=loss", "--select=first"],
            "value should be one of <last|best>",
        ),
        (["sweep", "{grid}", "--x=seed", "--y=loss", "--out=a.txt"], "--out=a.txt: 'a.txt' must end"),
        (
            ["sweep", "{grid}", "--x=seed", "--y=loss", "--out={grid}/sweep.json/a.png"],
            "--out: cannot write",
        ),
        (["sweep", "{grid}", "--x=seed", "--y=loss", "--config.seed=1"], "results have no config to set"),
    ],
)
def test_bad_names_are_one_line(grid, tmp_path, capsys, args, message):
    with pytest.raises(SystemExit) as stop:
        main([a.format(grid=grid.folder, tmp=tmp_path) for a in args])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_runs_without_metrics_are_one_line(sweep, capsys):
    sweep.run({"seed": 1}, status="failed")
    with pytest.raises(SystemExit):
        main(["sweep", str(sweep.folder), "--x=seed", "--y=loss"])
    assert "has metrics yet" in capsys.readouterr().err
    sweep.run({"seed": 2}, status="failed", train=[{"step": 1, "loss": 1.0}])
    with pytest.raises(SystemExit):
        main(["sweep", str(sweep.folder), "--x=seed", "--y=loss"])
    assert "no run that has not failed has train/loss" in capsys.readouterr().err
