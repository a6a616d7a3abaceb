"""Every config builds and runs two steps in a shrunken form, on the shape of its own data."""

import ast
import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, small_config

from experiments import registry
from experiments.catalogue import catalogue
from lib import sweeps
from lib.config import apply_overrides, load_file
from lib.data import Dataset, load
from lib.data.gaussians import MIXTURES
from lib.data.spectra import SPECTRA
from lib.runner import Runner
from lib.workdir import Workdir

CONFIGS = [path.removeprefix("configs/").removesuffix(".py") for path, _ in catalogue(ROOT / "configs")]
WHOLE = ("gan/cifar10_sgd",)
SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
SHAPES |= dict.fromkeys(("cifar100", "svhn_cropped"), SHAPES["cifar10"])
# Networks that take long to compile: {configs whose names match: what they are run with after a trace}.
LARGE = {
    r"gan/cifar10": ("dataset.name=ring8", "gan.nets=mlp"),
    r"classifier/.*_(vgg|wrn|densenet|resnet)": ("dataset.name=digits", "classifier.model=logistic"),
}


def test_the_catalogue_has_a_line_for_every_config():
    rows = dict(catalogue(ROOT / "configs"))
    assert "configs/gan/digits.py" in rows
    assert "configs/gan/base.py" not in rows
    assert all(len(line) > 20 for line in rows.values())


def fake_data(name: str, kwargs: Mapping | None = None) -> Dataset:
    """20 examples: random images of the set's shape; of the points, which are made and not read, the first."""
    if name in MIXTURES or name in SPECTRA:
        points = load(name, "train", kwargs=kwargs)
        return points._replace(image=points.image[:20], label=points.label[:20])
    image = np.random.default_rng(0).integers(0, 256, (20, *SHAPES[name]), np.uint8)
    return Dataset(image, np.arange(20, dtype=np.int32) % 10, 10)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_steps(tmp_path, name):
    """Most configs of LARGE are traced with their networks, and run with others."""
    short = ("num_steps=2", "batch_size=4", "eval_every=2", "log_every=1")
    smaller = next((small for pattern, small in LARGE.items() if re.match(pattern, name)), None)
    if smaller and name not in WHOLE:
        config = registry.validated(small_config(name, *short))
        data = fake_data(config.dataset.name)
        traced = registry.build(config, registry.DataSpec.of(data))
        batch = {"image": data.image[:4], "label": data.label[:4]}
        key = jax.random.key(0)
        state = jax.eval_shape(traced.init, key, batch)
        batch = jax.tree.map(lambda x: np.repeat(x, traced.batches_per_step, 0), batch)
        stepped, _ = jax.eval_shape(traced.train_step, state, batch, key)
        assert jax.tree.map(jnp.shape, stepped) == jax.tree.map(jnp.shape, state)
        short += smaller
    if name.startswith("eigengame"):
        short += ("eigengame.exact_limit=100",)  # an exact spectrum of CIFAR-10 takes a minute
    if name == "eigengame/large":
        short += ("dataset.kwargs.d=256",)
    config = registry.validated(small_config(name, *short))
    data = fake_data(config.dataset.name, config.dataset.kwargs)
    workdir = Workdir(tmp_path)
    workdir.create()
    experiment = registry.build(config, registry.DataSpec.of(data))
    runner = Runner(experiment, config, data, data, workdir, jax.local_devices()[:1])
    before = jax.device_get(runner.init())
    assert runner.train(runner.init(), 0).step == 2
    _, after = runner.restore()
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    assert all(jax.tree.leaves(changed))


@pytest.mark.parametrize("file", sorted((ROOT / "configs/sweeps").glob("*.py")), ids=lambda file: file.stem)
def test_every_sweep_fits_the_config_of_its_docstring(file):
    """Fields, values and optimisers of every run are checked; nothing is compiled."""
    named = re.search(r"--config=(\S+) --sweep=(\S+)", ast.get_docstring(ast.parse(file.read_text())))
    assert ROOT / named[2] == file
    base, runs = load_file(ROOT / named[1]), sweeps.load(file)
    data = fake_data(base.dataset.name)
    for overrides in runs:
        raw = apply_overrides(base, [f"--config.{field}={value}" for field, value in overrides.items()])
        registry.build(registry.validated(raw), registry.DataSpec.of(data))
    assert len(sweeps.names(runs)) == len(set(sweeps.names(runs))) > 5
