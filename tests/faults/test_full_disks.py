"""Disks that are full in the middle of what programs write, and the same command once there is room."""

import shutil
import subprocess
from pathlib import Path

import forked
import pytest
from campaign import EVAL, LAST, RUN, TRAIN, assert_few_lines, assert_no_litter, checksum

from lib.runtime.run_folder import RunFolder

pytestmark = pytest.mark.program

WHOLE = [*RUN, f"--config.num_steps={LAST}"]
KB = 1024


class Disk:
    """A small file system in memory."""

    def __init__(self, path: Path):
        path.mkdir()
        self.path = path
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")

    def resize(self, kilobytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", self.path], check=True)

    def used(self) -> int:
        """Returns the kilobytes in use."""
        return shutil.disk_usage(self.path).used // KB


@pytest.fixture
def disk(tmp_path):
    """Mounts a small disk."""
    mounted = Disk(tmp_path / "disk")
    yield mounted
    subprocess.run(["umount", "--lazy", mounted.path], check=True)


def test_training_on_a_full_disk_is_a_line_and_goes_on_when_there_is_room(
    sound, disk, tmp_path, random, rounds
):
    log, run = tmp_path / "log", disk.path / "run"
    command = [*WHOLE, f"--workdir={run}"]
    assert forked.run(TRAIN, *command, log=log).code == 0
    most = disk.used()
    for _ in range(3 * rounds):
        shutil.rmtree(run)
        size = int(random.uniform(8, most - 8))
        print(f"{size} of {most} kB")
        disk.resize(size)
        ended = forked.run(TRAIN, *command, log=log)
        assert ended.code == 1, ended
        assert "No space left on device" in ended.err
        assert_few_lines(ended)
        if run.exists():
            assert_no_litter(run)
            folder = RunFolder(run)
            if status := folder.status():
                assert status["step"] == folder.newest_step()
        disk.resize(4 * most)
        ended = forked.run(TRAIN, *command, log=log)
        assert ended.code == 0, ended
        assert checksum(run) == sound.at_last


def test_scoring_on_a_full_disk_is_a_line_and_goes_on_when_there_is_room(sound, disk, tmp_path, random):
    log, run = tmp_path / "log", disk.path / "run"
    shutil.copytree(sound.folder / "run", run)
    for part in (run / "best", run / "figures"):
        shutil.rmtree(part)
    (run / "metrics" / "eval.jsonl").unlink()
    (run / "status.json").write_text('{"status": "failed", "step": 6, "error": "x"}')
    # A record of its own is a line; with --follow come a copy of the best checkpoint and a picture.
    for follows, room in (([], 0), (["--follow"], random.uniform(1, 8))):
        command = [f"--workdir={run}", *follows]
        disk.resize(disk.used() + int(room))
        ended = forked.run(EVAL, *command, log=log)
        assert ended.code == 1, ended
        assert_few_lines(ended)
        assert_no_litter(run)
        disk.resize(10**5)
        ended = forked.run(EVAL, *command, log=log)
        assert ended.code == 0, ended


def test_a_full_cache_stops_no_training_and_is_one_line(sound, disk, tmp_path):
    log, run = tmp_path / "log", tmp_path / "run"
    disk.resize(40)
    command = [*WHOLE, f"--workdir={run}"]
    env = {"GRADIENT_DYNAMICS_CACHE": str(disk.path / "cache")}
    for _ in range(2):  # the second one finds what the first could keep
        shutil.rmtree(run, ignore_errors=True)
        ended = forked.run(TRAIN, *command, log=log, env=env)
        assert ended.code == 0, ended
        assert ended.out.count("note: a compiled program cannot be kept") == 1
        assert ended.err == ""
        assert checksum(run) == sound.at_last
