"""Which numbers of players and of groups fit which devices."""

import pytest

from lib.eigengame.pca.products import check_groups
from lib.eigengame.players import check_divides
from lib.errors import ConfigError


@pytest.mark.parametrize("k, n", [(16, 1), (16, 4), (15, 3), (8, 4)])
def test_players_that_divide_by_the_devices_fit(k, n):
    check_divides(k, 16, n)


@pytest.mark.parametrize("groups, n", [(0, 1), (2, 4), (3, 3), (4, 4)])
def test_groups_that_divide_the_devices_fit(groups, n):
    check_groups(groups, n)


@pytest.mark.parametrize(
    "k, most, n, message",
    [
        (16, 100, 3, "16 vectors do not divide by the 3 devices; use 15"),
        (8, 100, 3, "8 vectors do not divide by the 3 devices; use 9"),
        (8, 8, 3, "8 vectors do not divide by the 3 devices; use 6"),
        (1, 8, 3, "1 vectors do not divide by the 3 devices; use 3"),
        (2, 2, 3, "at most 2 vectors cannot be split over 3 devices"),
    ],
)
def test_players_that_do_not_fit_are_refused_with_the_nearest_number(k, most, n, message):
    with pytest.raises(ConfigError) as error:
        check_divides(k, most, n)
    assert error.value.field == "k"
    assert error.value.message.startswith(message)


def test_groups_that_do_not_fit_are_refused_with_the_nearest_number():
    with pytest.raises(ConfigError) as error:
        check_groups(3, 4)
    assert str(error.value) == "groups: 3 does not divide the 4 devices; use 2"
