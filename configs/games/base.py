"""Base of all toy games, and what each field of the `games` section means; a method's: configs/play.py."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from configs import common
from configs.play import play

PAIR = ("disc", "gen")
ALONE = ("model",)


def base(game: str, starts: Sequence[Sequence[float]], **kwargs) -> ConfigDict:
    """Returns a game without methods: every config adds some."""
    config = common.base()
    config.experiment = "games"
    config.dataset.name = "none"
    config.batch_size = 1
    config.num_steps = 200
    config.log_every = 10
    config.eval_every = 100
    config.checkpoint_every = 100
    config.games = games = ConfigDict()
    # bilinear, quadratic, rotational, dirac_gan (of two players); quadratic_loss, double_well, banana (of
    # one): lib/games/toys.py says what they are and what they take.
    games.game = game
    games.kwargs = ConfigDict(kwargs)
    games.starts = tuple(map(tuple, starts))  # points, all players' numbers one after the other
    games.methods = ConfigDict()  # {label: how players move}; each walks from every start
    # Drawn beside the steps of the method flows_of, which must be simultaneous or alternating plain SGD.
    # Two players: original, modified_per_player, modified_shared. One: gradient_flow, igr, principal_flow,
    # principal_flow_third_order.
    games.flows = ()
    games.flows_of = ""
    games.limit = 1e6  # the distance from 0 at which a trajectory that runs away is stopped
    return config


def method(
    learning_rate: float,
    updates: str = "simultaneous",
    momentum: float | None = None,
    players=PAIR,
    **update_kwargs,
) -> ConfigDict:
    """Returns SGD by an update rule and its arguments, with the same rate and momentum for all players."""
    section = play(players, learning_rate)
    section.updates = updates
    section.update_kwargs = ConfigDict(update_kwargs)
    section.num_updates = ConfigDict(dict.fromkeys(players, 1))  # in a turn, when alternating
    if momentum is not None:
        for optimizer in section.optimizers.values():
            optimizer.kwargs.momentum = momentum
    return section
