"""A profile of training steps: as many as were asked for, after those that compile, and nothing else."""

import gzip
import json

import one_number
import pytest
from conftest import states_equal, trained

from lib.runtime.profile import Profile


def traces(folder) -> list:
    return sorted(folder.rglob("*.trace.json.gz"))


@pytest.mark.parametrize(("steps", "calls", "recorded"), [(3, 10, 4), (100, 3, 4)])
def test_a_profile_has_calls_after_the_first_one(tmp_path, capsys, steps, calls, recorded):
    profile = Profile(tmp_path, steps)
    for _ in range(calls):
        profile.before_call()
        profile.after_call(2, ())
    profile.close()
    assert f"profile     {recorded} steps: tensorboard --logdir {tmp_path}" in capsys.readouterr().out
    (trace,) = traces(tmp_path)
    assert json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_training_is_the_same_with_a_profile(tmp_path):
    config = {"num_steps": 6, "steps_per_dispatch": 1}
    plain = trained(one_number.trainer(tmp_path / "plain", config, 1))
    trainer = one_number.trainer(tmp_path / "profiled", config, 1)
    trainer.profile = Profile(trainer.folder.path / "profile", 2)
    assert states_equal(trained(trainer), plain)
    assert len(traces(trainer.folder.path)) == 1
    assert not traces(tmp_path / "plain")


def test_no_profile_is_written_where_none_is_asked_for_or_another_process_writes(tmp_path, capsys):
    for profile, ours in ((Profile(tmp_path, 0), True), (Profile(tmp_path, 2), False)):
        for _ in range(3):
            profile.before_call(ours)
            profile.after_call(1, ())
        profile.close()
    assert not traces(tmp_path) and not capsys.readouterr().out
