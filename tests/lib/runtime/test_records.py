"""Metric records: what is damaged is left out and said once, whoever reads."""

import json

import numpy as np
import pytest

from lib.runtime import records

DAMAGED = [
    b"\xff\xfe",
    b"[1]",
    b"3",
    b'"text"',
    b"null",
    b'{"loss": 1.0}',
    b'{"step": "2"}',
    b'{"step": -2}',
    b'{"step": 100000000000000000000}',
    b'{"step": 2, "loss": [1]}',
    b'{"step": 2, "loss": "x"}',
    b'{"step": 2, "loss": ' + b"9" * 400 + b"}",
    b'{"step": 2, "by": "eval", "loss": {}}',
    b'{"step": 2, "lo',
]


@pytest.fixture
def metrics(tmp_path):
    """Returns a function that writes lines between two sound ones of train.jsonl, and gives the folder."""

    def write(*lines: bytes):
        sound = [b'{"step": 1, "loss": 2.0}', b'{"step": 3, "loss": 1.0}']
        (tmp_path / "train.jsonl").write_bytes(b"\n".join([sound[0], *lines, sound[1], b""]))
        return tmp_path

    return write


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_is_left_out_and_said_once(metrics, capsys, line):
    folder = metrics(line)
    for _ in range(2):
        assert [record["step"] for record in records.read_training(folder)] == [1, 3]
    assert capsys.readouterr().out == f"note: 1 damaged line of '{folder / 'train.jsonl'}' left out\n"


def test_a_line_that_is_still_being_written_is_left_out_without_a_word(metrics, capsys):
    folder = metrics()
    with (folder / "train.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "lo')
    assert [record["step"] for record in records.read_training(folder)] == [1, 3]
    assert capsys.readouterr().out == ""


def test_training_goes_on_beside_damaged_lines(metrics, tmp_path, capsys):
    folder = metrics(*DAMAGED)
    writer = records.MetricWriter(folder, records.TRAINING, tmp_path / "events", first_step=1)
    writer.write(2, {"loss": 0.5})
    writer.close()
    assert [record["step"] for record in records.read_training(folder)] == [1, 2]
    assert f"{len(DAMAGED)} damaged lines" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(8))
def test_a_resume_drops_what_came_after_its_step_and_no_score(tmp_path, seed):
    random = np.random.default_rng(seed)
    path, last_step, lines = tmp_path / "eval.jsonl", int(random.integers(0, 30)), []
    for step in range(1, 25):
        lines.append({"step": step, "loss": random.normal()})
        if random.random() < 0.4:  # scored late, or early
            lines.append({"step": int(random.integers(1, 30)), "by": "eval", "loss": random.normal()})
    torn = b'{"step": 25, "lo' if seed % 2 else b""
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines) + torn)
    records.MetricWriter(tmp_path, records.HELD_OUT, tmp_path / "events", last_step).close()
    kept = [line for line in lines if line["step"] <= last_step or "by" in line]
    assert [json.loads(line) for line in path.read_text().splitlines()] == kept
    assert not list(tmp_path.glob(".*"))


def test_of_many_records_a_curve_reads_a_few_that_are_spread_evenly(tmp_path):
    lines = [{"step": step, "loss": 0.5, "x" * (900 + step % 7): 1.0} for step in range(1, 2001)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    steps = [record["step"] for record in records.read_training(tmp_path, about=50)]
    assert len(steps) == 50
    assert (steps[0], steps[-1]) == (1, 2000)
    assert set(np.diff(steps)) <= {40, 41, 42}
    assert len(records.read_training(tmp_path, about=5000)) == len(records.read_training(tmp_path)) == 2000


@pytest.mark.parametrize("content", [b"", b"\n", b'{"step": 1}'])
def test_files_of_no_whole_line_are_read_without_a_word(tmp_path, capsys, content):
    (tmp_path / "train.jsonl").write_bytes(content)
    assert len(records.read_training(tmp_path)) == content.count(b"step")
    writer = records.MetricWriter(tmp_path, records.TRAINING, tmp_path / "events", 1)
    writer.write(2, {"loss": 1.0})
    writer.close()
    assert records.read_training(tmp_path)[-1] == {"step": 2, "loss": 1.0}
    assert capsys.readouterr().out == ""
