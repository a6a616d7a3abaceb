"""Scores a checkpoint: `./run.sh eval`. The run's own config is read from its work directory."""

import sys
from pathlib import Path

import jax
import numpy as np
from absl import flags

from eval import sampling, scores
from eval.networks import NETWORKS, Network
from experiments import registry
from experiments.runs import ROOT, check_same_run, default_workdir, make_runner, restored
from lib import devices, figures
from lib.command_line import parse
from lib.config import ConfigError, apply_overrides, differences, load_file, load_json, one_line_errors
from lib.logging import append_json_line
from lib.runner import Runner
from lib.schema import MAY_DIFFER, Run
from lib.workdir import Workdir, find

_USAGE = """Scores a checkpoint: the newest of a run, or any other.

  ./run.sh eval [--config.restore_path=PATH] [--config.eval.FIELD=VALUE ...]

PATH is a work directory, its checkpoints folder, or one step's folder. The run's own config is read from its
work directory; --config=FILE, if given, must agree with it.
"""
_RESTORE = "--config.restore_path="


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("config", None, "The config file, to check against the run's.", flag_values=values)
    flags.DEFINE_string(
        "workdir", None, "The run's work directory; like --config.restore_path.", flag_values=values
    )


def read_command_line(argv: list[str]):
    """(the run's config with overrides, its work directory, the step or None).

    Raises:
      ConfigError: no such run, or fields given that contradict the run's own config.
    """
    values, overrides = parse(argv, _define, _USAGE)
    named = [o.removeprefix(_RESTORE) for o in overrides if o.startswith(_RESTORE)]
    if named and values.workdir and find(named[-1])[0].path != Workdir(values.workdir).path:
        raise ConfigError("--workdir and --config.restore_path name two runs; give one of them")
    file = values.config or str(ROOT / "configs/gan/digits.py")
    path = (named or [values.workdir])[-1] or str(default_workdir(file))
    if not (named or values.workdir or Path(path).is_dir()):
        raise ConfigError(
            f"no run in '{path}'; train one with ./run.sh train, or name a checkpoint with {_RESTORE}PATH"
        )
    workdir, step = find(path)
    own = load_json(workdir.config)
    if values.config:
        check_same_run(load_file(values.config), workdir, "--config")
    config = apply_overrides(own, overrides)
    if found := differences(config, own, MAY_DIFFER):
        raise ConfigError(f"the run in '{workdir.path}' was trained otherwise: {'; '.join(found)}")
    return registry.validated(config), workdir, step


def sample_scores(runner: Runner, network: Network, state, step: int) -> list[dict]:
    """Scores of samples, of real images (the floor) and of noise (the ceiling), one record each.

    All against the held-out split, by one network. The Frechet distance is biased in the number of images:
    every record says it.
    """
    train, held_out = runner.data
    config = runner.config
    n, batch_size = config.eval.num_samples, config.eval.batch_size
    first = next(sampling.generated(runner.experiment, state, 100, 100, config.seed))
    figures.image_grid(first, runner.workdir.figures / f"eval_{step:07}.png")
    _, reference = network.activations(sampling.real(held_out, held_out.size, batch_size, 0))
    sources = {
        "samples": sampling.generated(runner.experiment, state, n, batch_size, config.seed),
        f"real ({config.dataset.train_split})": sampling.real(train, n, batch_size, 0),
        "noise": sampling.noise(train.image_shape, n, batch_size, 0),
    }
    records = []
    for source, batches in sources.items():
        logits, features = network.activations(batches)
        records.append(
            {
                "images": source,
                f"{network.name}_score": scores.classifier_score(logits),
                f"{network.name}_frechet": scores.frechet_distance(reference, features),
                "num_samples": len(logits),
                "num_reference": len(reference),
                "network": network.name,
                "network_checksum": network.checksum,
            }
        )
    return records


def table(records: list[dict]) -> str:
    """Records as aligned columns: names and numbers, without checksums."""
    names = [n for n in records[0] if n not in ("network", "network_checksum")]
    rows = [names] + [[_cell(r[n]) for n in names] for r in records]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    return "\n".join("  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)


def _cell(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def evaluate(config: Run, workdir: Workdir, step: int | None) -> None:
    """Prints and records all scores of one checkpoint."""
    runner = make_runner(config, workdir)
    step, state = restored(runner, workdir, step)
    state = jax.tree.map(np.asarray, state)
    generates = "sample" in runner.experiment.heads
    network = None
    if generates:
        make_network = NETWORKS[config.eval.network]
        network = make_network(config.eval, runner.data[0], config.dataset.data_dir)
    print(f"evaluating step {step:,} of {workdir.path}")
    own = runner.evaluate(state)
    print(f"\non the {config.dataset.eval_split} split of {config.dataset.name}")
    print(table([own]))
    record = {"step": step, "by": "eval", **own}
    if generates:
        records = sample_scores(runner, network, state, step)
        print("\nagainst that split: samples, real images (floor), noise (ceiling)")
        print(table(records))
        record |= {name: value for name, value in records[0].items() if name != "images"}
    append_json_line(workdir.metrics / "eval.jsonl", record)
    print(f"\nrecorded in {workdir.metrics / 'eval.jsonl'}; pictures in {workdir.figures}")


def main(argv: list[str]) -> int:
    with one_line_errors():
        config, workdir, step = read_command_line(argv)
        devices.use_compilation_cache()
        evaluate(config, workdir, step)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
