"""Which metrics share a panel of curves."""

from lib.pictures.metrics import by_panel


def test_numbered_ones_share_a_panel_and_averages_stand_beside_the_last_parameters():
    names = ["angle/01", "loss", "angle/02", "uniform/loss", "exponential/loss", "uniform/other"]
    assert by_panel(names) == {
        "angle": ["angle/01", "angle/02"],
        "loss": ["loss", "uniform/loss", "exponential/loss"],
        "uniform": ["uniform/other"],
    }
