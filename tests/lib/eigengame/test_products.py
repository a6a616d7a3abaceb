"""Which numbers of players and of groups fit which devices."""

import pytest

from lib.eigengame.products import check_divides
from lib.errors import ConfigError


@pytest.mark.parametrize("k, groups, n", [(16, 0, 1), (16, 2, 4), (15, 3, 3), (8, 4, 4)])
def test_what_fits(k, groups, n):
    check_divides(k, 16, groups, n)


@pytest.mark.parametrize(
    "k, most, groups, n, message",
    [
        (16, 100, 0, 3, "config.eigengame.k: 16 vectors do not divide by the 3 devices; use 15"),
        (8, 100, 0, 3, "config.eigengame.k: 8 vectors do not divide by the 3 devices; use 9"),
        (8, 8, 0, 3, "config.eigengame.k: 8 vectors do not divide by the 3 devices; use 6"),
        (1, 8, 0, 3, "config.eigengame.k: 1 vectors do not divide by the 3 devices; use 3"),
        (2, 2, 0, 3, "config.eigengame.k: at most 2 vectors cannot be split over 3 devices"),
        (16, 100, 3, 4, "config.eigengame.groups: 3 does not divide the 4 devices; use 2"),
    ],
)
def test_what_does_not_fit_is_told_what_does(k, most, groups, n, message):
    with pytest.raises(ConfigError) as error:
        check_divides(k, most, groups, n)
    assert str(error.value).startswith(message)
