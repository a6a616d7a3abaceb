"""A run that nothing happened to, and the random numbers of the faults."""

import os
import shutil
import zlib

import forked
import numpy as np
import pytest
from campaign import EVAL, LAST, RUN, SWEEP_JSON, TRAIN, Sound, checksum


@pytest.fixture
def random(request) -> np.random.Generator:
    """Returns the test's generator, of a seed that a failure prints: FAULTS_SEED=n sets it."""
    seed = int(os.environ.get("FAULTS_SEED", 0))
    print(f"FAULTS_SEED={seed}")
    return np.random.default_rng([seed, zlib.crc32(request.node.name.encode())])


@pytest.fixture
def rounds(request) -> int:
    """Returns how many times as many faults as usual are wanted."""
    return request.config.getoption("faults")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Sound:
    """Trains a run up to two steps before its last, scores it, and continues a copy to the end."""
    root = tmp_path_factory.mktemp("sound")
    run, log = root / "sweep" / "run", root / "log"
    train = [*RUN, f"--workdir={run}", f"--config.num_steps={LAST - 2}"]
    for module, args in ((TRAIN, train), (EVAL, [f"--workdir={run}", "--follow"])):
        ended = forked.run(module, *args, log=log)
        assert ended.code == 0, ended
    (root / "sweep" / "sweep.json").write_text(SWEEP_JSON)
    whole = shutil.copytree(run, root / "whole")
    ended = forked.run(TRAIN, *RUN, f"--workdir={whole}", f"--config.num_steps={LAST}", log=log)
    assert ended.code == 0, ended
    return Sound(root / "sweep", checksum(whole))
