"""Every config is traced, each network at its sizes; of each network and rule one is trained two steps."""

import ast
import json
import re
from collections.abc import Mapping

import jax
import numpy as np
import pytest
from conftest import ROOT, trained
from ml_collections import ConfigDict

from configs import common
from experiments import registry
from experiments.catalogue import catalogue
from lib import sweeps
from lib.config import apply_overrides, load_file
from lib.data import NOTHING, Dataset, DataSpec, Splits, load, sources
from lib.data.dataset import Vocabulary
from lib.data.gaussian import SPECTRA
from lib.data.mixtures import MIXTURES
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.runtime.trainer import Trainer
from lib.schema import Run

CONFIGS = [path.removeprefix("configs/").removesuffix(".py") for path, _ in catalogue(ROOT / "configs")]
SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1)}
SHAPES |= dict.fromkeys(("cifar10", "cifar100", "svhn_cropped"), (32, 32, 3))
SHAPES["imagenet2012"] = (224, 224, 3)
SMALL_MODELS = {"logistic": {}, "mlp": {"hidden": (4,)}, "cnn": {"channels": (4,), "hidden": 4}}


def test_the_catalogue_has_a_line_for_every_config():
    rows = dict(catalogue(ROOT / "configs"))
    assert "configs/gan/digits.py" in rows
    assert "configs/gan/base.py" not in rows
    assert all(len(line) > 20 for line in rows.values())


def fake_data(name: str, kwargs: Mapping | None = None) -> Dataset:
    """Makes 20 random images of a set's shape, or takes the first 20 of points, which are not read."""
    if name == NOTHING:
        return load(name, "train")
    if name in (*MIXTURES, *SPECTRA, sources.NAME):
        points = load(name, "train", kwargs=kwargs)
        return points._replace(image=points.image[:20], label=points.label[:20])
    generator, label = np.random.default_rng(0), np.arange(20, dtype=np.int32)
    if name == "snli":
        words, vectors = generator.integers(0, 9, (20, 2, 5), np.int32), np.ones((9, 300), np.float32)
        return Dataset(words, label % 3, 3, vocabulary=Vocabulary(8, vectors))
    image = generator.integers(0, 256, (20, *SHAPES[name]), np.uint8)
    return Dataset(image, label % 10, 10)


def own_config(name: str) -> Run:
    """Returns a config as its file has it, but for what takes long and another config shows.

    That is exact components, and the CIFAR-10 networks under each update rule: one rule is traced with
    them, the others with smaller ones.
    """
    config = load_file(ROOT / "configs" / f"{name}.py")
    if name.startswith("gan/cifar10") and name != "gan/cifar10_sgd":
        config.dataset.name = config.gan.nets.name = "digits"
    return registry.validated(apply_overrides(config, quick(name)))


def quick(name: str) -> list[str]:
    """Returns overrides that leave out the computation of many exact components."""
    overrides = ["eigengame.exact_limit=100"] if name.startswith("eigengame") else []
    overrides += ["dataset.kwargs.d=256"] if name == "eigengame/large" else []
    overrides += ["cca.k=2"] if name == "cca/mnist" else []
    return [f"--config.{o}" for o in overrides]


def short_config(name: str) -> Run:
    """Returns a config of two steps, with small networks in place of large ones."""
    config = load_file(ROOT / "configs" / f"{name}.py")
    config.num_steps, config.batch_size, config.eval_every, config.log_every = 2, 4, 2, 1
    if config.experiment == "classifier":
        config.dataset.name = "digits"
        model = config.classifier.model
        if model.name not in SMALL_MODELS:
            model.name = "mlp"
        model.kwargs = ConfigDict(SMALL_MODELS[model.name])
    if config.experiment == "gan" and config.gan.nets.name in ("mnist", "cifar10"):
        config.dataset.name = "ring8"
        config.gan.nets = common.named("mlp", num_units=4)
    if config.experiment == "gan" and config.gan.nets.name == "dcgan":
        config.dataset.name = "digits"
        config.gan.nets = common.named("dcgan", width=2)
    return registry.validated(apply_overrides(config, quick(name)))


def structure(config: Run) -> str:
    """Returns what decides the operations of a config's step: its fields, with numbers as zero or not."""
    data = SHAPES.get(config.dataset.name, [config.dataset.name, config.dataset.kwargs])
    fields = config.model_dump(mode="json")
    return json.dumps([data, _zero_or_not(fields[config.experiment])], sort_keys=True)


def _zero_or_not(value):
    if isinstance(value, Mapping):
        return {name: _zero_or_not(x) for name, x in value.items()}
    if isinstance(value, list):
        return [_zero_or_not(x) for x in value]
    return value != 0 if isinstance(value, float) else value


def kind(config: Run) -> tuple:
    """Returns the experiment, its networks and its update rule: one config of each kind is trained."""
    section = getattr(config, config.experiment)
    if config.experiment == "classifier":
        return "classifier", section.model.name
    if config.experiment == "gan":
        regularized = any(jax.tree.leaves(section.model_dump()["grad_regularizes"]["dd_coeffs_multiplier"]))
        return "gan", section.nets.name, section.updates, regularized, section.sga.weight > 0
    if config.experiment == "games":
        return "games", len(next(iter(section.methods.values())).optimizers)
    if config.experiment == "eigengame":
        return "eigengame", section.rule, section.mean
    return (config.experiment,)


def one_of_each(kind, configs: Mapping[str, Run]) -> dict[str, Run]:
    """Returns the shortest config of each kind, by name."""
    chosen = {}
    for name in sorted(configs, key=lambda name: len(structure(configs[name]))):
        chosen.setdefault(kind(configs[name]), name)
    return {name: configs[name] for name in sorted(chosen.values())}


TRAINED = one_of_each(kind, {name: short_config(name) for name in CONFIGS if name != "gan/digits"})
TRACED = one_of_each(structure, {name: own_config(name) for name in CONFIGS})
_STRUCTURES = {structure(config) for config in TRAINED.values()}
TRACED = {name: config for name, config in TRACED.items() if structure(config) not in _STRUCTURES}


@pytest.mark.parametrize("name", TRACED)
def test_a_step_at_its_own_sizes_keeps_the_shapes_and_types_of_the_state(name):
    """Traces without compiling; a step whose state had other types after it would compile twice."""
    config = TRACED[name]
    data = fake_data(config.dataset.name, config.dataset.kwargs)
    experiment = registry.build(config, DataSpec.of(data))
    key, b = jax.random.key(0), config.batch_size
    rows = {"image": data.image[:1], "label": data.label[:1], "mask": np.ones(1, np.float32)}

    def batch(n, *names):
        return {x: jax.ShapeDtypeStruct((n, *rows[x].shape[1:]), rows[x].dtype) for x in names}

    state = jax.eval_shape(experiment.init, key, batch(b, "image", "label"))
    share = batch(b * experiment.batches_per_step, "image", "label")
    stepped, metrics = jax.eval_shape(experiment.train_step, state, share, key)
    assert types(stepped) == types(state)
    assert all(metric.shape == () for metric in metrics.values())
    sums = jax.eval_shape(experiment.eval_step, state, batch(b, *rows), key)
    assert all(count.shape == () for _, count in sums.values())


def types(state):
    """Returns the shape and type of each leaf."""
    return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state)


@pytest.mark.parametrize("name", TRAINED)
def test_two_steps_change_all_parameters(tmp_path, name):
    # gan/digits itself is trained by the README's command, see tests/test_readme.py.
    config = TRAINED[name]
    data = fake_data(config.dataset.name, config.dataset.kwargs)
    folder = RunFolder(tmp_path)
    folder.create()
    experiment = registry.build(config, DataSpec.of(data))
    trainer = Trainer(Programs(experiment, config, Splits(data, data), jax.local_devices()[:1]), folder)
    before = jax.device_get(trainer.programs.init())
    after = trained(trainer)
    assert checkpoints.steps(folder.checkpoints) == [2]
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    if name == "gan/mnist":  # its loss is of differences of logits: nothing depends on their bias
        assert not changed["disc"]["Dense_0"].pop("bias")
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
            registry.build(registry.validated(raw), DataSpec.of(data))
    assert len(sweeps.names(runs)) == len(set(sweeps.names(runs))) > 5
