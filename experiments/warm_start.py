"""Training that begins with another run's parameters, and goes on by other rules.

Switching the method in mid-run is the basic experiment on instability: the same parameters, and from
there another update rule, optimiser, rate, regulariser or loss. What is carried over: the parameters, the
networks' state, the state of every optimiser that is still the same one, the rule's memory and the averages
where they have not changed. The numbers of the config, such as rates and weights of regularisers, are the
new config's.
"""

from typing import Any

import jax
from ml_collections import ConfigDict

from experiments import registry
from experiments.gan.losses import PENALTIES
from lib.config import differences
from lib.data import DataSpec
from lib.errors import ConfigError
from lib.experiment import State
from lib.games.updates import GameState
from lib.optimizers.registry import kind_of
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import find
from lib.runtime.words import check_words
from lib.schema import MAY_DIFFER


def first_state(programs: Programs, raw: ConfigDict) -> tuple[int, State]:
    """Returns (step, state) to train from: of the checkpoint that the config's restore_path names.

    A config of the same run, but for fields that may differ, goes on with all of the state. Otherwise one
    line says what differs, and what begins anew.

    Args:
      programs: of the run that begins.
      raw: its config.

    Raises:
      ConfigError: see `lib.runtime.run_folder.RunFolder.restore`; or the networks are others.
    """
    source, step = find(programs.config.restore_path)
    own = registry.own_config(source)
    check_words(source, programs.data.train.words_digest)
    different = differences(raw, own, MAY_DIFFER)
    if not different:
        return source.restore(programs.abstract_state(), step)
    theirs = registry.validated(own)
    experiment = registry.build(theirs, DataSpec.of(programs.data.train))
    saved = Programs(experiment, theirs, programs.data, programs.devices)
    step, old = source.restore(saved.abstract_state(), step)
    state, anew = _carried(programs, old, own[own.experiment], raw[raw.experiment])
    fresh = f"; anew: {', '.join(anew)}" if anew else ""
    print(f"warm start from step {step:,} of '{source.path}': {'; '.join(different)}{fresh}")
    return step, state


def _carried(
    programs: Programs, old: GameState, theirs: ConfigDict, ours: ConfigDict
) -> tuple[GameState, list[str]]:
    """Returns the new run's first state, with what can be carried over, and names of what cannot."""
    expected, anew = programs.abstract_state(), []
    if checkpoints.layout(old.params) != checkpoints.layout(expected.params):
        raise ConfigError(
            "its networks are others than those of this config; train from scratch", "config.restore_path"
        )

    def choose(name: str, carried: Any, new: Any, same: bool = True) -> Any:
        """Returns what is carried over where it has the layout of the new; else names it as anew."""
        if same and checkpoints.layout(carried) == checkpoints.layout(new):
            return carried
        if jax.tree.leaves(new):
            anew.append(name)
        return new

    net_state = dict(old.net_state)
    if checkpoints.layout(net_state) != checkpoints.layout(expected.net_state) or net_state.get(PENALTIES):
        fresh = programs.init().net_state
        net_state = {
            name: fresh[name]
            if name == PENALTIES
            else choose(f"the state of {name}", net_state.get(name), fresh[name])
            for name in fresh
        }
    params = {x: _starting_point(old, x, _optimizer(theirs, x), _optimizer(ours, x)) for x in old.params}
    state = programs.experiment.game.rule.init(params, net_state)
    opt_state = {}
    for x, new in state.opt_state.items():
        before, after = _optimizer(theirs, x), _optimizer(ours, x)
        carried, changed = old.opt_state[x], differences(before, after)
        if changed:
            carried = carried._replace(hyperparams=new.hyperparams)
        # The rate of one that chooses it is in its state: another config is another beginning.
        same = before.name == after.name and not (changed and kind_of(after.name).chooses_rate)
        opt_state[x] = choose(f"the optimiser of {x}", carried, new, same)
    same_rule = all(theirs.get(field) == ours.get(field) for field in ("updates", "update_kwargs"))
    memory = choose("the memory of the update rule", old.memory, state.memory, same_rule)
    same_averages = not differences(theirs.averages, ours.averages)
    averages = choose("the averages", old.averages, state.averages, same_averages)
    return state._replace(opt_state=opt_state, memory=memory, averages=averages), anew


def _starting_point(old: GameState, player: str, before: ConfigDict, after: ConfigDict) -> Any:
    """Returns a player's parameters: what was evaluated of them, where another optimiser goes on."""
    evaluated, params = kind_of(before.name).evaluated, old.params[player]
    if evaluated is None or before.name == after.name:
        return params
    return evaluated(old.opt_state[player], params)


def _optimizer(section: ConfigDict, player: str) -> ConfigDict:
    """Returns the section of a player's optimiser."""
    return section.optimizers[player] if "optimizers" in section else section.optimizer
