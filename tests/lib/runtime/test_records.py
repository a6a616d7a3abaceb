"""Metric records: what is damaged is left out and said once, whoever reads."""

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
