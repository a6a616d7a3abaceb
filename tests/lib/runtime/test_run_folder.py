"""A run's folder: its status where that cannot be read, and names that look like steps."""

import errno

import pytest
from ml_collections import ConfigDict

from lib.errors import ConfigError
from lib.runtime import checkpoints, run_folder
from lib.runtime.run_folder import RunFolder, find

DAMAGED = [
    b"[1]",
    b"{}",
    b"\xff",
    b'{"status": "finished", "step": "3", "error": ""}',
    b'{"status": "x"',
    b"7",
]


@pytest.fixture
def folder(tmp_path):
    """Returns the folder of a run of 10 steps that has a checkpoint of step 4."""
    folder = RunFolder(tmp_path)
    folder.create()
    folder.write_config(ConfigDict({"num_steps": 10}))
    (folder.checkpoints / "4").mkdir()
    return folder


@pytest.mark.parametrize("text", DAMAGED)
def test_a_status_that_cannot_be_read_is_derived_from_checkpoints(folder, text):
    folder.set_status("failed", 3, "an error")
    assert folder.status() == {"status": "failed", "step": 3, "error": "an error"}
    (folder.path / "status.json").write_bytes(text)
    assert folder.status() == {"status": "killed", "step": 4, "error": ""}
    with folder.lock():
        assert folder.status()["status"] == "training"
    (folder.checkpoints / "10").mkdir()
    assert folder.status() == {"status": "finished", "step": 10, "error": ""}
    folder.config.write_text("[]")
    assert folder.status()["status"] == "killed"


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", "{"])
def test_a_config_that_is_no_object_is_damaged(folder, text):
    folder.config.write_text(text)
    with pytest.raises(ConfigError, match="config.json' is damaged"):
        folder.read_config()


def test_only_digits_name_a_step(folder):
    for name in ("²", "４", "-1", "4.tmp"):
        (folder.checkpoints / name).mkdir()
    assert checkpoints.steps(folder.checkpoints) == [4]
    assert find(str(folder.checkpoints / "4"))[1] == 4
    with pytest.raises(ConfigError, match="is not of a run"):
        find(str(folder.checkpoints / "²"))


def test_a_run_that_goes_on_with_another_machine_says_so_once(tmp_path, capsys):
    folder = RunFolder(tmp_path)
    folder.create()
    here = {"devices": "1", "kind": "cpu", "cores": "4", "JAX": "0.10.2"}
    folder.check_machine(here, resumes=False)
    folder.check_machine(here, resumes=True)
    assert capsys.readouterr().out == ""
    folder.check_machine(here | {"cores": "2"}, resumes=True)
    assert capsys.readouterr().out == (
        "note: cores 4 before, 2 here: the run goes on, but its numbers may differ by rounding\n"
    )
    folder.check_machine(here | {"cores": "2"}, resumes=True)
    assert capsys.readouterr().out == ""


def test_the_status_of_a_full_disk_takes_no_more_space(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.create()
    folder.set_status("training", 4)

    def full(path, value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_folder, "write_json", full)
    folder.set_status("failed", 4, "no space")
    assert folder.status() == {"status": "failed", "step": 4, "error": "no space"}
