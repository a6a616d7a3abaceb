"""Which metrics share a panel of curves."""

from PIL import Image

from lib.pictures.metrics import by_panel, metric_curves


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
