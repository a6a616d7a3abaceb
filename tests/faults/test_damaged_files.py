"""Every file of a run, damaged in every way, under the programs that read it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from campaign import LAST, RUN, assert_few_lines, assert_no_litter, checksum
from conftest import ROOT
from forked import Ended

from analysis import __main__ as plot
from eval import follow
from eval import main as evaluate
from experiments import main as train
from experiments.sweep import main as sweep
from lib.runtime import checkpoints, seals

pytestmark = pytest.mark.program  # the fixture starts some

NEWEST = f"run/checkpoints/{LAST - 2}"
FILES = {  # as glob patterns in the sweep's folder; the last match is damaged
    "config": "run/config.json",
    "status": "run/status.json",
    "machine": "run/machine.json",
    "lock": "run/.lock",
    "train records": "run/metrics/train.jsonl",
    "eval records": "run/metrics/eval.jsonl",
    "events": "run/tensorboard/train/*",
    "picture": "run/figures/train.png",
    "seal": f"{NEWEST}/seal.json",
    "arrays": f"{NEWEST}/state/d/*",
    "manifest": f"{NEWEST}/state/manifest.ocdbt",
    "tree": f"{NEWEST}/state/_METADATA",
    "orbax": f"{NEWEST}/_CHECKPOINT_METADATA",
    "checkpoint": NEWEST,
    "best config": "run/best/config.json",
    "best seal": "run/best/checkpoints/*/seal.json",
    "best": "run/best",
    "sweep": "sweep.json",
}


def flipped(data: bytes, random: np.random.Generator) -> bytes:
    """Returns bytes of which one bit is another."""
    changed = bytearray(data or b" ")
    changed[random.integers(len(changed))] ^= 1 << random.integers(8)
    return bytes(changed)


CONTENTS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "empty": lambda data, random: b"",
    "half": lambda data, random: data[: len(data) // 2],
    "flipped": flipped,
    "noise": lambda data, random: random.bytes(len(data)),
    "not utf-8": lambda data, random: b"\xff\xfe\n",
    "list": lambda data, random: b"[1]\n",
    "null": lambda data, random: b"null\n",
    "number": lambda data, random: b"3\n",
    "text": lambda data, random: b'"text"\n',
    "object": lambda data, random: b"{}\n",
    "deep": lambda data, random: b"[" * 10**5 + b"\n",
    "lines": lambda data, random: b"\n" * 50 + data,
}
PLACES = ("gone", "folder", "link", "link to nothing", "pipe")  # what else can be where a file was
PROGRAMS = {
    "train": train.main,
    "eval": evaluate.main,
    "follow": evaluate.main,
    "results": sweep.main,
    "compare": plot.main,
}
NO_RECORDS = ("list", "null", "number", "text", "object", "deep", "not utf-8")


def arguments(program: str, folder: Path) -> list[str]:
    """Returns the arguments with which a program reads the run in a folder, or the folder as a sweep."""
    run = folder / "run"
    return {
        "train": [*RUN, f"--workdir={run}", f"--config.num_steps={LAST}"],
        "eval": [f"--workdir={run}"],
        "follow": [f"--workdir={run}", "--follow"],
        "results": ["--results", str(folder)],
        "compare": ["compare", str(run), f"--out={folder / 'compare.png'}"],
    }[program]


def damage(path: Path, how: str, random: np.random.Generator) -> Path | None:
    """Damages a file; returns the file elsewhere that a link in its place leads to."""
    data = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "link":
        elsewhere = path.parents[0] / "elsewhere"
        elsewhere.write_bytes(data)
        path.symlink_to(elsewhere)
        return elsewhere
    elif how == "link to nothing":
        path.symlink_to(path.parent / "nothing")
    elif how == "pipe":
        os.mkfifo(path)
    elif how in CONTENTS:
        path.write_bytes(CONTENTS[how](data, random))
    return None


def execute(program: str, args: list[str], capfd) -> Ended:
    """Calls a program in this process."""
    capfd.readouterr()
    try:
        code = PROGRAMS[program](args)
    except SystemExit as end:
        code = end.code
    return Ended(code, *capfd.readouterr())


@pytest.mark.parametrize("file", FILES)
@pytest.mark.usefixtures("quick")
def test_a_damaged_file_is_a_line_or_is_passed_over(file, sound, tmp_path, capfd, random, rounds):
    rows = [(how, program) for how in (*CONTENTS, *PLACES) for program in PROGRAMS]
    for i in random.permutation(len(rows))[: 3 * rounds]:
        how, program = rows[i]
        print(f"{file}: {how}, {program}")  # shown where it fails
        folder = shutil.copytree(sound.folder, tmp_path / str(i), symlinks=True)
        path = sorted(folder.glob(FILES[file]))[-1]
        elsewhere = damage(path, how, random)
        newest = folder / "run" / "checkpoints" / str(LAST - 2)
        damaged_newest = newest.exists() and not checkpoints.is_sound(newest.parent, LAST - 2)
        before = elsewhere and elsewhere.read_bytes()
        ended = execute(program, arguments(program, folder), capfd)
        assert_few_lines(ended)
        assert_no_litter(folder / "run")
        if elsewhere:
            assert elsewhere.read_bytes() == before
        if program == "train" and ended.code == 0:
            assert checksum(folder / "run") == sound.at_last
        if "records" in file and how in NO_RECORDS and program in ("train", "results"):
            assert "damaged line" in ended.out
        if damaged_newest and program in ("train", "eval"):
            assert f"checkpoint of step {LAST - 2} is damaged" in ended.out
        shutil.rmtree(folder)


@pytest.fixture
def quick(monkeypatch):
    """Lets followers poll often, and programs start where relative paths of configs are right."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(follow, "_SECONDS_BETWEEN_POLLS", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_damaged_best_is_kept_again_while_its_checkpoint_is_there(sound, tmp_path, capfd, random):
    folder = shutil.copytree(sound.folder, tmp_path / "sweep")
    kept = folder / "run" / "best" / "checkpoints"
    (step,) = checkpoints.steps(kept)
    array = max(kept.rglob("d/*"), key=lambda path: path.stat().st_size)
    array.write_bytes(flipped(array.read_bytes(), random))
    assert not checkpoints.is_sound(kept, step)
    (folder / "run" / "status.json").write_text('{"status": "failed", "step": 6, "error": "x"}')
    ended = execute("follow", arguments("follow", folder), capfd)
    assert ended.code == 0
    assert f"step {step} is the best so far" in ended.out
    assert checkpoints.is_sound(kept, step)


def test_every_byte_of_a_checkpoint_counts(sound, tmp_path, random, rounds):
    """Flips bits at the beginning, the end and at random places of every file that a restore reads."""
    folder = shutil.copytree(sound.folder / NEWEST, tmp_path / str(LAST - 2))
    seals.verify(folder)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        within = random.integers(len(data), size=60 * rounds)
        for place in {0, 1, len(data) - 2, len(data) - 1, *within.tolist()}:
            changed = bytearray(data)
            changed[place] ^= 1 << random.integers(8)
            path.write_bytes(changed)
            if path.parent == folder and path.name != seals.NAME:  # Orbax's own, which no restore needs
                seals.verify(folder)
                continue
            with pytest.raises(seals.DamagedError):
                seals.verify(folder)
        path.write_bytes(data)
    seals.verify(folder)
