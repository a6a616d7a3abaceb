"""Lists of overrides, their names, and files that give them."""

import pytest

from lib import sweeps as h
from lib.errors import ConfigError


def test_helpers():
    a, b = h.values("a", [1, 2]), h.values("b.c", ["x", "y"])
    assert h.product(a, b) == [
        {"a": 1, "b.c": "x"},
        {"a": 1, "b.c": "y"},
        {"a": 2, "b.c": "x"},
        {"a": 2, "b.c": "y"},
    ]
    assert h.zipped(a, b) == [{"a": 1, "b.c": "x"}, {"a": 2, "b.c": "y"}]
    assert h.chain(a, h.fixed("d", None)) == [{"a": 1}, {"a": 2}, {"d": None}]
    assert h.log_spaced("r", 1e-3, 1e-1, 5) == h.values("r", [0.001, 0.00316, 0.01, 0.0316, 0.1])
    assert h.seeds(2, first=7) == [{"seed": 7}, {"seed": 8}]
    assert h.product() == [{}]


def test_contradictions_are_errors():
    with pytest.raises(ValueError, match="'a' is set twice"):
        h.product(h.fixed("a", 1), h.fixed("a", 2))
    with pytest.raises(ValueError):
        h.zipped(h.seeds(2), h.values("a", [1, 2, 3]))


def test_names_are_short_distinct_and_fit_a_folder():
    runs = h.product(
        h.values("opt.disc.rate", [0.1]), h.values("opt.gen.rate", [0.2]), h.values("x.seed", [0, 1])
    )
    assert h.names(runs) == ["disc.rate=0.1,gen.rate=0.2,seed=0", "disc.rate=0.1,gen.rate=0.2,seed=1"]
    # A field that is the end of another one keeps a name of its own.
    assert h.short_names(["rate", "opt.rate"]) == {"rate": "rate", "opt.rate": "opt.rate"}
    long = h.names([{"a": "x" * 300}, {"a": "x" * 301}, {"a": "b/c"}, {"a": "b c"}])
    assert len(set(long)) == 4
    assert all(len(name) <= 120 and "/" not in name for name in long)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_sweep(h):\n    return [{'a': 1}, {'a': 1}]", "has the same run twice"),
        ("def get_sweep(h):\n    return {'a': 1}", "must return a list of dicts"),
        ("def get_sweep(h):\n    return []", "must return a list of dicts"),
        ("def sweep():\n    return []", "no function get_sweep"),
        ("def get_sweep(h):\n    return h.sed(3)", "fails: AttributeError"),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "sweep.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        h.load(tmp_path / "sweep.py")
