"""Work in turns."""

import pytest

from benchmarks import timing


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(timing, "_PAUSE", 0)


def test_turns_alternate_and_begin_with_a_call_that_is_not_counted():
    calls = []
    seconds = timing.in_turns({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)
    assert "".join(calls) == "aabbaabb"
    assert {name: len(each) for name, each in seconds.items()} == {"a": 2, "b": 2}


def test_short_work_is_repeated_until_a_turn_is_long_enough(monkeypatch):
    monkeypatch.setattr(timing, "timed", lambda work: work())
    seconds = timing.in_turns({"quick": lambda: 0.25, "slow": lambda: 2.0}, rounds=2, at_least=1.0)
    assert seconds == {"quick": [0.25] * 8, "slow": [2.0] * 2}


def test_the_peak_is_the_best_square(monkeypatch):
    monkeypatch.setattr(timing, "square_products", lambda: {10: None, 20: None})
    monkeypatch.setattr(timing, "in_turns", lambda works, rounds: {10: [4.0, 2.0], 20: [20.0, 10.0]})
    assert timing.peak() == 2 * 20**3 / 10
