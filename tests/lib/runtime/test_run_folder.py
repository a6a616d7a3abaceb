"""A run's folder: its status where that cannot be read, and names that look like steps."""

import pytest
from ml_collections import ConfigDict

from lib.errors import ConfigError
from lib.runtime import checkpoints
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
