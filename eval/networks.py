"""Networks that score: images to logits and features, by name.

A score is only as good as its network, so every network has a name that goes into the names of its scores.
"""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import registry
from experiments.runs import ROOT, first_state, make_runner
from lib import checkpoints
from lib.config import ConfigError, load_file, save_json, to_plain
from lib.devices import cache_dir
from lib.schema import Evaluation
from lib.workdir import Workdir


class Network(NamedTuple):
    """What scores images.

    Attributes:
      name: begins the names of its scores.
      checksum: of its weights.
      apply: images float32 [n, h, w, c] in [-1, 1] to (logits [n, classes], features [n, d]).
    """

    name: str
    checksum: str
    apply: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def activations(self, batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(logits, features) of all images of an iterator over batches."""
        logits, features = zip(*map(self.apply, batches), strict=True)
        return np.concatenate(logits), np.concatenate(features)


def trained_classifier(section: Evaluation, data_dir: str) -> Network:
    """A classifier of this framework, trained on first use and kept in the cache.

    Args:
      section: `config.eval`; its `classifier` is a config's name below configs/.
      data_dir: where TFDS keeps the classifier's data.

    Raises:
      ConfigError: there is no such config, or it is not a classifier's.
    """
    file = ROOT / "configs" / f"{section.classifier}.py"
    if not file.is_file():
        known = sorted(p.stem for p in (ROOT / "configs/classifier").glob("*.py") if p.stem[0] != "_")
        raise ConfigError(
            f"config.eval.classifier: no config '{section.classifier}'; known: "
            + ", ".join(f"classifier/{name}" for name in known if name != "base")
        )
    raw = load_file(file)
    raw.dataset.data_dir = data_dir
    config = registry.validated(raw)
    if config.experiment != "classifier":
        raise ConfigError(f"config.eval.classifier: '{section.classifier}' is no classifier's config")
    key = {name: value for name, value in to_plain(raw).items() if name != "dataset"}
    key["dataset"] = raw.dataset.name
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    name = section.classifier.replace("classifier/", "").replace("/", "_")
    workdir = Workdir(cache_dir() / "networks" / f"{name}-{digest}")
    workdir.create()
    runner = make_runner(config, workdir)
    with (workdir.path / ".training").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a second evaluator waits, then finds the network
        step, state = first_state(runner)
        if step < config.num_steps:
            print(f"training the scoring network {section.classifier}, once, in {workdir.path}")
            save_json(raw, workdir.config)
            runner.train(state, step)
            _, state = first_state(runner)
    apply = jax.jit(lambda images: runner.experiment.heads["logits"](state, images))
    return Network(f"{name}_cnn", checkpoints.checksum(state), lambda images: jax.device_get(apply(images)))


NETWORKS: dict[str, Callable[[Evaluation, str], Any]] = {"checkpoint": trained_classifier}
