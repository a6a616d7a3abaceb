"""Checkpoints: whole or absent, never silently wrong."""

import gc
import json
import re
import shutil
import time
from typing import NamedTuple

import numpy as np
import pytest

from lib.errors import ConfigError
from lib.runtime import checkpoints, seals


def state(value: float):
    return {"w": np.full((300, 7), value, np.float32), "count": np.int32(3), "nested": [np.zeros(2), {}]}


def saved(folder, *steps, keep=5):
    writer = checkpoints.Writer(folder, keep)
    for step in steps:
        writer.save(step, state(float(step)))
    writer.close()
    return folder


def test_the_newest_are_kept_and_restored_exactly(tmp_path):
    folder = saved(tmp_path / "c", 1, 2, 3, 4, keep=2)
    assert checkpoints.steps(folder) == [3, 4]
    step, restored = checkpoints.restore_newest(folder, state(0.0))
    assert step == 4
    assert checkpoints.checksum(restored) == checkpoints.checksum(state(4.0))
    assert checkpoints.checksum(restored) != checkpoints.checksum(state(3.0))


def test_a_state_may_change_while_it_is_written(tmp_path, monkeypatch):
    handed_over, standard_save = [], checkpoints.ocp.args.StandardSave

    def save_arguments(state):
        handed_over.append(state)
        return standard_save(state)

    monkeypatch.setattr(checkpoints.ocp.args, "StandardSave", save_arguments)
    writer, changing = checkpoints.Writer(tmp_path / "c", 5), state(1.0)
    writer.save(1, changing)
    changing["w"][:] = 2.0  # as a program does that the state was donated to
    writer.close()
    assert (checkpoints.restore(tmp_path / "c", 1, state(0.0))["w"] == 1.0).all()
    # Orbax copies too, so what was restored does not tell whether we did.
    assert not np.shares_memory(handed_over[0]["w"], changing["w"])


def test_no_folder_and_an_empty_one_have_no_checkpoint(tmp_path):
    assert checkpoints.restore_newest(tmp_path / "none", state(0.0)) is None
    assert checkpoints.restore_newest(tmp_path, state(0.0)) is None


def arrays(folder, step):
    return max((folder / str(step)).rglob("d/*"), key=lambda p: p.stat().st_size)


def flip_byte(folder, step):
    file = arrays(folder, step)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def truncate(folder, step):
    file = arrays(folder, step)
    file.write_bytes(file.read_bytes()[:100])


def delete(folder, step):
    arrays(folder, step).unlink()


def cut_seal(folder, step):
    file = folder / str(step) / "seal.json"
    file.write_text(file.read_text()[:20])


def drop_seal(folder, step):
    (folder / str(step) / "seal.json").unlink()


def copy_of_another_step(folder, step):
    shutil.rmtree(folder / str(step))
    shutil.copytree(folder / str(step - 1), folder / str(step))


def put_in_arrays_of_another_step(folder, step):
    shutil.rmtree(folder / str(step) / "state")
    shutil.copytree(folder / str(step - 1) / "state", folder / str(step) / "state")


DAMAGES = [
    flip_byte,
    truncate,
    delete,
    cut_seal,
    drop_seal,
    copy_of_another_step,
    put_in_arrays_of_another_step,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_named_and_the_one_before_is_used(tmp_path, capsys, damage):
    folder = saved(tmp_path / "c", 1, 2)
    damage(folder, 2)
    step, restored = checkpoints.restore_newest(folder, state(0.0), move_damaged=True)
    assert step == 1
    assert (restored["w"] == 1.0).all()
    out = capsys.readouterr().out
    assert re.fullmatch(r"checkpoint of step 2 is damaged: .*; using step 1\n", out)
    saved(folder, 2)  # the step can be saved again
    assert checkpoints.restore_newest(folder, state(0.0))[0] == 2
    assert (tmp_path / "damaged" / "2").is_dir()


def test_a_reader_leaves_damaged_ones_where_they_are(tmp_path):
    folder = saved(tmp_path / "c", 1, 2)
    flip_byte(folder, 2)
    assert checkpoints.restore_newest(folder, state(0.0))[0] == 1
    assert checkpoints.steps(folder) == [1, 2]


def test_all_damaged_is_an_error_every_time_and_moves_nothing(tmp_path):
    folder = saved(tmp_path / "c", 1, 2)
    for step in (1, 2):
        flip_byte(folder, step)
    for _ in range(2):
        with pytest.raises(ConfigError, match="all checkpoints"):
            checkpoints.restore_newest(folder, state(0.0), move_damaged=True)
    assert checkpoints.steps(folder) == [1, 2]


def test_what_cannot_be_written_is_said(tmp_path):
    folder = saved(tmp_path / "c", 1)
    writer = checkpoints.Writer(folder, 5)
    with pytest.raises(checkpoints.WriteError):
        writer.save(1, state(1.0))
    writer.close()


def test_a_state_of_another_kind_is_told_from_damage(tmp_path):
    folder = saved(tmp_path / "c", 1)
    other = state(0.0) | {"w": np.zeros((2, 2), np.float32)}
    with pytest.raises(ConfigError, match=r"state\['w'\] is float32\[300, 7\] there, float32\[2, 2\] here"):
        checkpoints.restore(folder, 1, other)


def test_a_checkpoint_from_before_there_were_seals_is_read(tmp_path):
    folder = saved(tmp_path / "c", 1)
    seal = seals.read(folder / "1")
    (folder / "1" / "seal.json").unlink()
    (folder / "1" / "meta").mkdir()
    (folder / "1" / "meta" / "metadata").write_text(
        json.dumps({"layout": seal.layout, "checksum": seal.checksum})
    )
    assert (checkpoints.restore(folder, 1, state(0.0))["w"] == 1.0).all()
    flip_byte(folder, 1)
    with pytest.raises(checkpoints.DamagedError):
        checkpoints.restore(folder, 1, state(0.0))


def test_files_that_vanish_while_they_are_read_are_damage_and_print_nothing(tmp_path, monkeypatch, capfd):
    many = {f"{i}": np.zeros(300) for i in range(40)}
    writer = checkpoints.Writer(tmp_path / "c", 1)
    writer.save(1, many)
    writer.close()
    verify = seals.verify

    def verify_and_drop(place):
        seal = verify(place)
        for array in place.rglob("d/*"):  # as training does between the two
            array.unlink()
        return seal

    monkeypatch.setattr(seals, "verify", verify_and_drop)
    with pytest.raises(checkpoints.DamagedError, match="cannot be read"):
        checkpoints.restore(tmp_path / "c", 1, many)
    time.sleep(0.3)  # reports on the other files come late, some when what they are of is collected
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_damaged_notes_of_orbax_stop_no_saving(tmp_path):
    folder = saved(tmp_path / "c", 1)
    (folder / "1" / "_CHECKPOINT_METADATA").write_text('"text"')
    saved(folder, 2)
    assert checkpoints.steps(folder) == [1, 2]
    assert (checkpoints.restore(folder, 1, state(0.0))["w"] == 1.0).all()


def test_an_unfinished_save_does_not_count(tmp_path):
    folder = saved(tmp_path / "c", 1)
    (folder / "2.orbax-checkpoint-tmp-7" / "state").mkdir(parents=True)
    assert checkpoints.steps(folder) == [1]


def test_the_checksum_sees_values_names_types_and_shapes():
    base = {"a": np.zeros(4, np.float32)}
    others = [
        {"a": np.ones(4, np.float32)},
        {"b": np.zeros(4, np.float32)},
        {"a": np.zeros(4, np.int32)},
        {"a": np.zeros((2, 2), np.float32)},
    ]
    digests = {checkpoints.checksum(s) for s in [base, *others]}
    assert len(digests) == 5


class Younger(NamedTuple):
    """A state as `Older`, with a field that an older program did not know; None where it is not used."""

    params: dict
    opt_state: list
    averages: dict | None = None


class Older(NamedTuple):
    params: dict
    opt_state: list


def test_a_state_is_read_by_the_names_of_its_arrays(tmp_path):
    """Restores where nodes without arrays have come and gone, and where keys look like paths."""
    params = {"a/b": np.arange(3.0), "a": {"c": np.ones(2), "empty": {}}}
    old = Older(params, [(np.zeros(1), None), np.int32(4)])
    writer = checkpoints.Writer(tmp_path, keep=1)
    writer.save(1, old)
    writer.close()
    younger = Younger(params, [(np.zeros(1), ()), np.int32(0)])
    step, state = checkpoints.restore_newest(tmp_path, younger)
    assert step == 1
    assert isinstance(state, Younger)
    assert state.averages is None
    np.testing.assert_array_equal(state.params["a/b"], params["a/b"])
    np.testing.assert_array_equal(state.params["a"]["c"], params["a"]["c"])
    assert int(state.opt_state[1]) == 4
    with pytest.raises(ConfigError, match="averages"):
        checkpoints.restore(tmp_path, 1, younger._replace(averages={"x": np.ones(1)}))
