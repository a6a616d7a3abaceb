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
from lib.data import NOTHING, Dataset, Splits, load
from lib.data.gaussian import SPECTRA
from lib.data.mixtures import MIXTURES
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer

CONFIGS = [path.removeprefix("configs/").removesuffix(".py") for path, _ in catalogue(ROOT / "configs")]
WHOLE = ("gan/cifar10_sgd",)
SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1)}
SHAPES |= dict.fromkeys(("cifar10", "cifar100", "svhn_cropped"), (32, 32, 3))
# {model: the config in which it is traced}
SLOW_MODELS = {
    "vgg16": "classifier/cifar10_vgg",
    "wide_resnet": "classifier/svhn_wrn",
    "densenet": "classifier/cifar100_densenet",
    "resnet18": "classifier/cifar10_resnet_dal",
}


def test_the_catalogue_has_a_line_for_every_config():
    rows = dict(catalogue(ROOT / "configs"))
    assert "configs/gan/digits.py" in rows
    assert "configs/gan/base.py" not in rows
    assert all(len(line) > 20 for line in rows.values())


def fake_data(name: str, kwargs: Mapping | None = None) -> Dataset:
    """20 examples: random images of the set's shape; of the points, which are made and not read, the first."""
    if name == NOTHING:
        return load(name, "train")
    if name in MIXTURES or name in SPECTRA:
        points = load(name, "train", kwargs=kwargs)
        return points._replace(image=points.image[:20], label=points.label[:20])
    image = np.random.default_rng(0).integers(0, 256, (20, *SHAPES[name]), np.uint8)
    return Dataset(image, np.arange(20, dtype=np.int32) % 10, 10)


def small_networks(name: str) -> tuple[str, ...]:
    """Overrides by which a config with large networks has small ones; none where it has already."""
    if name.startswith("gan/cifar10") and name not in WHOLE:
        return ("dataset.name=ring8", "gan.nets=mlp")
    config = small_config(name)
    if config.experiment == "classifier" and config.classifier.model in SLOW_MODELS:
        return ("classifier.model=mlp", "classifier.mlp.hidden=(4,)")
    return ()


def trace(config) -> None:
    """Checks the shapes of a step on the config's own data, without compiling it."""
    data = fake_data(config.dataset.name)
    traced = registry.build(config, registry.DataSpec.of(data))
    key, n = jax.random.key(0), config.batch_size
    batches = [{"image": data.image[:b], "label": data.label[:b]} for b in (n, n * traced.batches_per_step)]
    state = jax.eval_shape(traced.init, key, batches[0])
    stepped, _ = jax.eval_shape(traced.train_step, state, batches[1], key)
    assert jax.tree.map(jnp.shape, stepped) == jax.tree.map(jnp.shape, state)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_steps(tmp_path, name):
    """Large networks take long to compile: configs are run with others, and each network is traced in one."""
    short = ("num_steps=2", "batch_size=4", "eval_every=2", "log_every=1")
    if others := small_networks(name):
        if name.startswith("gan") or name in SLOW_MODELS.values():
            trace(registry.validated(small_config(name, *short)))
        short += others
    if name.startswith("eigengame"):
        short += ("eigengame.exact_limit=100",)  # an exact spectrum of CIFAR-10 takes a minute
    if name == "eigengame/large":
        short += ("dataset.kwargs.d=256",)
    config = registry.validated(small_config(name, *short))
    data = fake_data(config.dataset.name, config.dataset.kwargs)
    folder = RunFolder(tmp_path)
    folder.create()
    experiment = registry.build(config, registry.DataSpec.of(data))
    trainer = Trainer(Programs(experiment, config, Splits(data, data), jax.local_devices()[:1]), folder)
    before = jax.device_get(trainer.programs.init())
    assert trainer.train(trainer.programs.init(), 0).step == 2
    _, after = trainer.folder.restore(trainer.programs.abstract_state())
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    assert all(jax.tree.leaves(changed))


@pytest.mark.parametrize("file", sorted((ROOT / "configs/sweeps").glob("*.py")), ids=lambda file: file.stem)
def test_every_sweep_fits_the_configs_of_its_docstring(file):
    """Fields, values and optimisers of every run are checked; nothing is compiled."""
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    named = re.search(r"--config=(\S+) --sweep=(\S+)", docstring)
    assert ROOT / named[2] == file
    folder, runs = (ROOT / named[1]).parent, sweeps.load(file)
    also = re.findall(r"(\w+\.py)", docstring.partition("Also for")[2])
    for base in map(load_file, {ROOT / named[1], *(folder / other for other in also)}):
        data = fake_data(base.dataset.name)
        for overrides in runs:
            raw = apply_overrides(base, [f"--config.{field}={value}" for field, value in overrides.items()])
            registry.build(registry.validated(raw), registry.DataSpec.of(data))
    assert len(sweeps.names(runs)) == len(set(sweeps.names(runs))) > 5
