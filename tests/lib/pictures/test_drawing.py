"""Pictures of points; those of images and curves are drawn by the trainer's tests."""

import numpy as np
import pytest
from PIL import Image

from lib.pictures import drawing
from lib.pictures.artefacts import Points
from lib.pictures.drawing import COLOURS

PLACES = np.array([[2.0, 0.0], [-2.0, 0.0]])


def coloured(path, colour: str) -> np.ndarray:
    """bool [h, w]: pixels near one of the palette's colours."""
    pixels = np.asarray(Image.open(path).convert("RGB"), int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(pixels - wanted).max(-1) < 40


def test_a_scatter_shows_points_and_places_where_they_are(tmp_path):
    points = np.full((200, 2), [2.0, 0.0])
    Points(points, PLACES).write(tmp_path, "samples", 1)
    drawn = coloured(tmp_path / "samples_0000001.png", COLOURS[0])
    rings = coloured(tmp_path / "samples_0000001.png", COLOURS[1])
    middle = drawn.shape[1] / 2
    assert np.nonzero(drawn)[1].min() > middle  # the points, on the right
    assert np.nonzero(rings)[1].min() < middle < np.nonzero(rings)[1].max()  # both places


def test_the_strip_is_of_the_steps_so_far_first_and_last_included(tmp_path):
    draw = lambda x, step: Points(np.full((200, 2), x), PLACES).write(tmp_path, "samples", step)
    draw(9.0, 99)  # of an earlier, longer run
    for step in range(10):
        draw(9.0 if 0 < step < 9 else 1.0, step)
    one = Image.open(tmp_path / "samples_0000003.png")
    strip = Image.open(tmp_path / "modes.png")
    assert strip.size == (6 * one.width, one.height)
    columns = np.nonzero(coloured(tmp_path / "modes.png", COLOURS[0]))[1] // one.width
    assert set(columns) == {0, 5}


@pytest.mark.parametrize(("n", "width"), [(1, 1), (3, 3)])
def test_a_short_strip(tmp_path, n, width):
    for step in range(n):
        Points(np.zeros((3, 2)), PLACES).write(tmp_path, "samples", step)
    one = Image.open(tmp_path / "samples_0000000.png")
    assert Image.open(tmp_path / "modes.png").size == (width * one.width, one.height)


def test_images_are_a_grid_without_a_strip(tmp_path):
    drawing.draw(np.zeros((4, 8, 8, 1)), tmp_path, "samples", 7)
    assert [p.name for p in tmp_path.iterdir()] == ["samples_0000007.png"]
