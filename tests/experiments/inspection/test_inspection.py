"""`./run.sh inspect`: what it says of a config and of a work directory is so, and it writes nothing."""

import jax
import numpy as np
import pytest
from conftest import refusal, small_config, trained

from experiments import registry
from experiments.inspection import __main__ as command
from experiments.inspection import new_run, parameters, work_directory
from lib.runtime.run_folder import RunFolder

CONFIG = "classifier/digits"
SMALL = ("classifier.model.name=logistic", "classifier.model.kwargs={}")


def parts(path, *overrides: str, steps: int = 0) -> dict[str, str]:
    """Returns {title: lines} of what is said of a config."""
    said = new_run.describe(small_config(CONFIG, *SMALL, *overrides), path, steps)
    return dict(part.strip("\n").split("\n", 1) for part in said)


def row(text: str, name: str) -> str:
    """Returns what stands beside a name in a part."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{name} ")]
    return " ".join(line.split()).removeprefix(f"{name} ")


def test_a_config_is_told_and_nothing_is_written(tmp_path):
    told = parts(tmp_path / "run", "seed=7")
    assert list(told) == ["config", "data", "parameters", "what the run writes"]
    assert row(told["config"], "seed") == "7"
    assert row(told["data"], "train") == "1,500 8 x 8 x 1 uint8 96.0 kB memory"
    assert row(told["data"], "test") == "297 8 x 8 x 1 uint8 19.0 kB memory"
    assert "640" in told["parameters"] and "650" in told["parameters"]  # 64 x 10 weights, 10 biases
    assert row(told["what the run writes"], "steps") == "4"
    assert "2 of " in row(told["what the run writes"], "checkpoints")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["gan/ring8", CONFIG, "eigengame/digits", "games/bilinear", "cca/digits"])
def test_parameters_are_those_of_the_state(name):
    state = registry.programs(registry.validated(small_config(name)), jax.local_devices()[:1]).init()
    of_players = getattr(getattr(state, "game", state), "params", state)
    numbers = sum(np.size(leaf) for leaf in jax.tree.leaves(of_players))
    assert sum(leaf.size for leaf in parameters.parameters(state)) == numbers
    sums = [row[3] for row in parameters.table(state) if row[1] == "all"]
    assert sum(int(number.replace(",", "")) for number in sums) == numbers


def test_a_step_is_compiled_and_timed(tmp_path):
    told = parts(tmp_path / "run", steps=2)["a step"]
    times = row(told, "2 steps").removesuffix(" ms, one in each call").split(", ")
    assert len(times) == 2 and all(float(time) > 0 for time in times)
    assert float(row(told, "operations").split()[0].replace(",", "")) > 0
    assert " of " in row(told, "memory")
    assert row(told, "examples") == "8"
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_is_said(make, tmp_path):
    trained(make(CONFIG, *SMALL))
    assert "goes on at step 4" in parts(tmp_path / "run", "num_steps=6")["what the run writes"]


def test_a_work_directory_is_told_with_its_checkpoints(make, tmp_path, capsys):
    trainer = make(CONFIG, *SMALL)
    trained(trainer)
    folder = trainer.folder
    folder.write_config(small_config(CONFIG, *SMALL))
    folder.set_status("finished", 4)
    text, is_sound = work_directory.describe(RunFolder(folder.path))
    assert is_sound
    assert row(text, "status") == "finished at step 4 of 4"
    assert row(text, "experiment") == "classifier on digits, seed 0"
    count = len((folder.metrics / "train.jsonl").read_text().splitlines())
    assert f"training, {count} records, the last of step 4" in text
    assert row(text, "2").endswith("sound") and row(text, "4").endswith("sound")
    assert command.main([str(folder.path)]) == 0

    largest = max((folder.checkpoints / "2").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    capsys.readouterr()
    assert command.main([str(folder.path / "checkpoints")]) == 1
    printed = capsys.readouterr().out
    assert row(printed, "2").endswith("DAMAGED") and row(printed, "4").endswith("sound")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--config.seeed=1"], "did you mean 'seed'"),
        (["--config=configs/gan/digit.py"], "digit.py"),
        (["--config.batch_size=5000"], "config.batch_size"),
        (["--steps=-1"], "--steps"),
        (["none/such"], "no folder 'none/such'"),
        (["tests"], "not a work directory of a run"),
        (["tests", "--steps=2"], "--steps: is of a run that is yet to be trained"),
        (["tests", "docs"], "name one work directory"),
    ],
)
def test_bad_input_is_one_line(capsys, monkeypatch, arguments, text):
    monkeypatch.chdir(command.catalogue.ROOT)
    assert text in refusal(command.main, capsys, *arguments)
