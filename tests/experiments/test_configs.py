"""Every config builds and runs two steps in a shrunken form, on the shape of its own data."""

import jax
import numpy as np
import pytest
from conftest import ROOT, small_config

from experiments import registry
from experiments.catalogue import catalogue
from lib.data import Dataset, load
from lib.data.gaussians import MIXTURES
from lib.runner import Runner
from lib.workdir import Workdir

CONFIGS = [path.removeprefix("configs/").removesuffix(".py") for path, _ in catalogue(ROOT / "configs")]
SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


def test_the_catalogue_has_a_line_for_every_config():
    rows = dict(catalogue(ROOT / "configs"))
    assert "configs/gan/digits.py" in rows
    assert "configs/gan/base.py" not in rows
    assert all(len(line) > 20 for line in rows.values())


def fake_data(name: str) -> Dataset:
    """20 examples: random images of the set's shape; of the points, which are made and not read, the first."""
    if name in MIXTURES:
        points = load(name, "train")
        return points._replace(image=points.image[:20], label=points.label[:20])
    image = np.random.default_rng(0).integers(0, 256, (20, *SHAPES[name]), np.uint8)
    return Dataset(image, np.arange(20, dtype=np.int32) % 10, 10)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_steps(tmp_path, name):
    config = registry.validated(
        small_config(name, "num_steps=2", "batch_size=4", "eval_every=2", "log_every=1")
    )
    data = fake_data(config.dataset.name)
    workdir = Workdir(tmp_path)
    workdir.create()
    experiment = registry.build(config, registry.DataSpec.of(data))
    runner = Runner(experiment, config, data, data, workdir, jax.local_devices()[:1])
    before = jax.device_get(runner.init())
    assert runner.train(runner.init(), 0).step == 2
    _, after = runner.restore()
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    assert all(jax.tree.leaves(changed))
