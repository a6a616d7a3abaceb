"""Pictures of points and of images; those of metrics are drawn by the trainer's tests."""

import numpy as np
import pytest
from PIL import Image

from lib.pictures.artefacts import Images, Points
from lib.pictures.colours import COLOURS

PLACES = np.array([[2.0, 0.0], [-2.0, 0.0]])


@pytest.fixture
def folder(tmp_path):
    """Returns a run's folder that has a place for pictures."""
    (tmp_path / "figures").mkdir()
    return tmp_path


def coloured(path, colour: str) -> np.ndarray:
    """Returns bool [h, w]: which pixels are near one of the palette's colours."""
    pixels = np.asarray(Image.open(path).convert("RGB"), int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(pixels - wanted).max(-1) < 40


def write_points(folder, x: float, step: int) -> None:
    """Writes a scatter of many points at (x, x)."""
    Points(np.full((200, 2), x), PLACES).write(folder, "samples", step)


def test_a_scatter_shows_points_and_places_where_they_are(folder):
    points = np.full((200, 2), [2.0, 0.0])
    Points(points, PLACES).write(folder, "samples", 1)
    dots = coloured(folder / "figures" / "samples_0000001.png", COLOURS[0])
    rings = coloured(folder / "figures" / "samples_0000001.png", COLOURS[1])
    middle = dots.shape[1] / 2
    assert np.nonzero(dots)[1].min() > middle  # the points, on the right
    assert np.nonzero(rings)[1].min() < middle < np.nonzero(rings)[1].max()  # both places


def test_the_strip_is_of_the_steps_so_far_first_and_last_included(folder):
    write_points(folder, 9.0, 99)  # of an earlier, longer run
    for step in range(10):
        write_points(folder, 9.0 if 0 < step < 9 else 1.0, step)
    one = Image.open(folder / "figures" / "samples_0000003.png")
    strip = Image.open(folder / "figures" / "modes.png")
    assert strip.size == (6 * one.width, one.height)
    columns = np.nonzero(coloured(folder / "figures" / "modes.png", COLOURS[0]))[1] // one.width
    assert set(columns) == {0, 5}


@pytest.mark.parametrize(("n", "width"), [(1, 1), (3, 3)])
def test_a_short_strip(folder, n, width):
    for step in range(n):
        write_points(folder, 0.0, step)
    one = Image.open(folder / "figures" / "samples_0000000.png")
    assert Image.open(folder / "figures" / "modes.png").size == (width * one.width, one.height)


def test_images_are_a_grid_without_a_strip(folder):
    Images(np.zeros((4, 8, 8, 1))).write(folder, "samples", 7)
    assert [p.name for p in (folder / "figures").iterdir()] == ["samples_0000007.png"]
    grid = Image.open(folder / "figures" / "samples_0000007.png")
    assert grid.size == (2 * 33 - 1, 2 * 33 - 1)  # tiles of 8 x 4 pixels with lines of 1 between them
