"""The benchmark of optimisers: what it prints, what it refuses."""

from conftest import refusal

from benchmarks import optimizers
from lib.optimizers.registry import OWN


def test_it_prints_times_relative_to_the_base(monkeypatch, capsys):
    few = {name: optimizers.VARIANTS[name] for name in ("SGD", "ALI-G")}
    monkeypatch.setattr(optimizers, "VARIANTS", few)
    assert optimizers.main(["--batch_size=2", "--repeats=1"]) == 0
    lines = {line.strip().split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert len(lines["SGD"]) == 3
    assert lines["ALI-G"][3] == "SGD"
    assert all(
        float(number) > 0 for number in (*lines["SGD"][1:], *lines["ALI-G"][1:3], *lines["ALI-G"][4:])
    )


def test_every_optimiser_of_the_project_is_measured():
    assert {variant.name for variant in optimizers.VARIANTS.values()} >= set(OWN)


def test_bad_options_are_refused(capsys):
    assert "--repeats" in refusal(optimizers.main, capsys, "--repeats=0")
    assert "no config" in refusal(optimizers.main, capsys, "--config.seed=1")
