"""Runs that begin with another run's parameters and go on by other rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import largest_difference, small_config, states_equal

from experiments import registry, warm_start
from experiments.main import train
from lib.errors import ConfigError
from lib.runtime import records
from lib.runtime.run_folder import RunFolder

GAN = ("gan/ring8_sgd", "gan.nets.kwargs.num_units=3", "gan.nets.kwargs.num_layers=1", "eval_every=0")
GAN += ("gan.optimizers.disc.name=adam", "gan.allow_unsound=True", "gan.averages.uniform=True")
GAN += ("gan.updates=optimistic", "gan.diagnostics=()")
SHORT = (*GAN[1:], "num_steps=2", "checkpoint_every=2")


def started(tmp_path, *overrides: str, name: str = GAN[0], base=GAN[1:], folder: str = "new"):
    """Trains from the run in `old`, which is trained first; returns (state of old, state after)."""
    states = []
    for where, more in (("old", ()), (folder, (f"restore_path={tmp_path / 'old'}", *overrides))):
        config = small_config(name, *base, *more)
        run = RunFolder(tmp_path / where)
        assert train(config, run) == 0
        programs = registry.programs(registry.validated(config))
        states.append(jax.device_get(run.restore(programs.abstract_state())[1]))
    return states


def test_the_same_config_goes_on_bitwise(tmp_path, capsys):
    base = SHORT
    _, parts = started(tmp_path, "num_steps=4", base=base)
    assert "warm start" not in capsys.readouterr().out
    whole = RunFolder(tmp_path / "whole")
    config = small_config(*GAN, "checkpoint_every=2")
    assert train(config, whole) == 0
    programs = registry.programs(registry.validated(config))
    assert states_equal(whole.restore(programs.abstract_state())[1], parts)


def test_other_rates_and_optimisers_keep_what_they_can(tmp_path, capsys, monkeypatch):
    base = SHORT
    seen = []
    carried = warm_start._carried
    monkeypatch.setattr(
        warm_start, "_carried", lambda *args: seen.append((args[1], carried(*args)[0])) or carried(*args)
    )
    overrides = (
        "num_steps=4",
        "gan.optimizers.disc.learning_rate=0.5",
        "gan.optimizers.gen.name=adam",
        "seed=7",
    )
    started(tmp_path, *overrides, "gan.averages.start=1", base=base)
    ((old, new),) = seen
    assert largest_difference(old.params, new.params) == 0
    assert jax.tree.leaves(old.net_state)
    assert largest_difference(old.net_state, new.net_state) == 0
    assert largest_difference(old.opt_state["disc"].inner_state, new.opt_state["disc"].inner_state) == 0
    assert float(new.opt_state["disc"].hyperparams["learning_rate"]) == 0.5
    assert max(np.abs(x).max() for x in jax.tree.leaves(new.opt_state["gen"].inner_state)) == 0
    assert largest_difference(old.memory, new.memory) == 0
    assert max(jnp.abs(x).max() for x in jax.tree.leaves(new.memory)) > 0
    assert int(new.averages.step) == 0
    assert largest_difference(new.averages.params["uniform"], new.params) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("warm start")]
    assert "from step 2 of" in line
    assert "config.gan.optimizers.gen.name: 'adam' here, 'sgd' there" in line
    assert line.endswith("anew: the optimiser of gen, the averages")


def test_another_rule_and_regulariser_begin_at_the_parameters(tmp_path, capsys):
    base = SHORT
    multiplier = "gan.grad_regularizes.dd_coeffs_multiplier.disc.other_dot_prod=0.0"
    overrides = ("num_steps=3", "gan.updates=alternating", multiplier)
    old, new = started(tmp_path, *overrides, base=base)
    assert 0 < largest_difference(old.params, new.params) < 0.2
    assert new.memory == {}
    assert "anew" not in capsys.readouterr().out
    config = small_config(GAN[0], *base, *overrides, f"restore_path={tmp_path / 'old'}", "num_steps=4")
    assert train(config, RunFolder(tmp_path / "new")) == 0  # and the run itself is resumed as ever
    assert "warm start" not in capsys.readouterr().out
    assert train(config, RunFolder(tmp_path / "whole")) == 0
    ends = [RunFolder(tmp_path / x).restore(like(config))[1] for x in ("new", "whole")]
    assert states_equal(*ends)
    lines = [records.read_training(RunFolder(tmp_path / x).metrics) for x in ("new", "whole")]
    assert [[line["step"] for line in each] for each in lines] == [[2, 3, 4]] * 2


def like(config):
    """Returns the abstract state of a run."""
    return registry.programs(registry.validated(config)).abstract_state()


def test_another_normalisation_keeps_the_other_network_s_state(tmp_path, capsys):
    base = ("num_steps=2", "checkpoint_every=2", "eval_every=0", "gan.nets.name=dcgan")
    base += ("gan.nets.kwargs.width=1", "gan.nets.kwargs.kernel=2", "gan.num_latents=2")
    none = "gan.grad_regularizes.dd_coeffs_multiplier.{}.other_dot_prod=0.0"
    base += tuple(none.format(x) for x in ("disc", "gen"))
    old, _ = started(tmp_path, "num_steps=3", "gan.spectral_norm=exact", base=(*base,), name="gan/digits")
    config = small_config(
        "gan/digits", *base, "gan.spectral_norm=exact", f"restore_path={tmp_path / 'old'}"
    )
    for n in (1, 2):
        programs = registry.programs(registry.validated(config), jax.local_devices()[:n])
        step, state = warm_start.first_state(programs, config)
        assert step == 2
        assert state.net_state["disc"] == {}
        assert largest_difference(state.net_state["gen"], old.net_state["gen"]) == 0
        assert largest_difference(state.params, old.params) == 0
    assert "anew" not in capsys.readouterr().out


def test_an_optimiser_that_chooses_its_rate_begins_anew_with_another_config(tmp_path, capsys):
    base = ("num_steps=2", "checkpoint_every=2", "eval_every=0", "classifier.optimizer.name=sgd_hd")
    base += ("classifier.optimizer.kwargs.beta=0.01", "classifier.model.kwargs.hidden=(3,)", "batch_size=8")
    kwargs = {"name": "classifier/digits_edge", "base": base}
    old, new = started(tmp_path, "num_steps=3", "classifier.optimizer.learning_rate=0.3", **kwargs)
    assert "anew: the optimiser of model" in capsys.readouterr().out
    assert float(new.opt_state["model"].hyperparams["learning_rate"]) == pytest.approx(0.3)
    assert 0 < largest_difference(old.params, new.params) < 1


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("gan.nets.kwargs.num_units=4", "config.restore_path: its networks are others"),
        ("dataset.validation_size=5", "config.dataset.validation_size: 5 here, 0 there"),
    ],
)
def test_other_networks_and_data_are_refused(tmp_path, override, line):
    with pytest.raises(ConfigError, match=line):
        started(tmp_path, "num_steps=3", override, base=SHORT)
    assert not (tmp_path / "new" / "config.json").exists()
