"""Panels of curves of metrics: which share one, and the bands beside them."""

import pytest
from PIL import Image

from lib.pictures import metrics
from lib.pictures.metrics import Band, by_panel, metric_curves


def test_numbered_ones_share_a_panel_and_averages_stand_beside_the_last_parameters():
    names = ["angle/01", "loss", "angle/02", "uniform/loss", "exponential/loss", "uniform/other"]
    assert by_panel(names) == {
        "angle": ["angle/01", "angle/02"],
        "loss": ["loss", "uniform/loss", "exponential/loss"],
        "uniform": ["uniform/other"],
    }


def test_many_panels_are_in_rows_of_four(tmp_path):
    sizes = {}
    for n in (1, 4, 6):
        names = [f"m{i}" for i in range(n)]
        records = [{"step": step, **dict.fromkeys(names, step)} for step in range(3)]
        metric_curves(records, {name: [name] for name in names}, tmp_path / f"{n}.png")
        with Image.open(tmp_path / f"{n}.png") as picture:
            sizes[n] = picture.size
    assert sizes[4][0] == sizes[6][0] == 4 * sizes[1][0]
    assert sizes[6][1] == 2 * sizes[1][1]


@pytest.mark.parametrize(("floor", "scale"), [(3.8, "log"), (-0.1, "linear")])
def test_bands_stand_beside_the_curves_with_their_numbers(monkeypatch, tmp_path, floor, scale):
    figures = []
    monkeypatch.setattr(metrics, "save_figure", lambda figure, path: figures.append(figure))
    records = [{"step": step, "frechet": 20.0 - step, "loss": 1.0} for step in range(3)]
    bands = {"frechet": [Band("real", floor, 0.3), Band("noise", 775.0, 0.0)]}
    metric_curves(records, {"loss": ["loss"], "frechet": ["frechet"]}, tmp_path / "x.png", bands)
    loss, frechet = figures[0].axes
    assert (loss.get_yscale(), frechet.get_yscale()) == ("linear", scale)
    labels = [text.get_text() for text in frechet.get_legend().get_texts()]
    assert labels == ["frechet", f"real: {floor:.4g} +- 0.3", "noise: 775"]
    assert loss.get_legend() is None
    assert frechet.get_ylim()[1] > 775
