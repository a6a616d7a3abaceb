"""How far one update is from the flow, and from the modified flows of both clocks and of third order.

`./run.sh plot local_error`

Against the step size, in float64, of a smooth game of two scalars or of a trained run's game on one batch.
The slope in the picture is the order: an update whose drift is known follows the modified flow to O(h^3),
the original one to O(h^2), and the modified flow of third order (lib/games/flows/backward_error.py) to
O(h^4). The flows are read on one shared clock,

    theta_x' = -h_x grad_x (L_x + drift of x),   one update is one unit of time.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from analysis import trained_game
from analysis.command import define_out, parse_flags, parse_folders, save
from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.drift import Clock
from lib.games.flows import DRIFTS, FlowError, flatten, frozen, game_positions, update_positions
from lib.games.game import Aux, Game
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import run_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws how far one update of a game is from its flow and its modified flows, against the rate.

  ./run.sh plot local_error [RUN] [--ratio=0.4] [--rate=0.1] [--examples=N] [--out=FILE]

Of a game of two scalars, or of the game of a trained RUN, a GAN or a classifier, on a batch that is held.
Orders are those of smooth networks (tanh): at a kink, as ReLU's, no flow has more than the first. Of
convolutional networks the third order takes minutes; a few --examples make it sooner.
"""
PLAYERS = ("disc", "gen")
_NO_DATA = jnp.zeros((1, 0))
_FITTED = 4  # the order is fitted to so many of the smallest sizes


class Point(NamedTuple):
    """A game without data or randomness, and parameters {player: pytree} of its players."""

    game: Game
    params: dict[str, Any]


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_float("ratio", 0.4, "The second player's rate over the first's.", flag_values=values)
    flags.DEFINE_float("rate", 0.1, "The largest rate; the smallest is a 50th.", flag_values=values)
    text = "Of a RUN's batch; default: as a step takes."
    flags.DEFINE_integer("examples", None, text, flag_values=values)
    define_out(values, "local_error.png")


def run(argv: list[str]) -> None:
    """Draws local errors of updates against flows on both clocks.

    Raises:
      ConfigError: unknown flags, a rate or ratio that is not positive, no such run, or flows that cannot be
        followed.
    """
    if argv and not argv[0].startswith("-"):
        folders, values = parse_folders(argv, define, USAGE, "local_error")
    else:
        folders, values = [], parse_flags(argv, define, USAGE, "local_error")
    if len(folders) > 1:
        raise ConfigError(f"name one run, not {len(folders)}", "plot local_error")
    for name in ("ratio", "rate"):
        if not 0 < values[name].value < math.inf:
            raise ConfigError(f"{values[name].value:g} is not above 0 and finite", f"--{name}")
    if values.examples is not None and not folders:
        raise ConfigError("is that of a run's batch; name a RUN", "--examples")
    point = trained(folders[0], values.examples) if folders else TOY
    try:
        with jax.enable_x64(True):
            figure = draw(point, values.ratio, sizes(values.rate))
    except FlowError as error:
        raise ConfigError(str(error), "--rate") from error
    save(figure, Path(values.out))


def _losses(params, net_state, batch, key):
    """Returns the losses of a game that is not zero-sum, whose second derivatives all differ from zero."""
    x, y = (params[player] for player in PLAYERS)
    disc = jnp.sin(x) * jnp.exp(0.3 * y) + 0.4 * x**2
    gen = -jnp.cos(x) * jnp.sin(1.3 * y) + 0.3 * x * y**2
    return {"disc": disc, "gen": gen}, Aux(net_state, {})


TOY = Point(Game(PLAYERS, _losses), {"disc": 1.1, "gen": -0.4})


def trained(path: str, examples: int | None = None) -> Point:
    """Returns the game of a run on the first examples, with the state of its networks held, in float64.

    Raises:
      ConfigError: no such run, or one that is no game of one or two players.
    """
    folder, step = run_folder.find(path)
    programs, batch = trained_game.open_game(folder, examples)
    _, state = folder.restore(programs.abstract_state(), step)
    game = programs.experiment.game.rule.dynamics.game
    key = jax.random.key(programs.config.seed)
    held = frozen(game, _in_double(state.net_state), _in_double(batch), key)
    return Point(held, {x: state.params[x] for x in game.players})


def _in_double(tree: Any) -> Any:
    """Returns arrays whose floating-point numbers are float64, whatever precision is switched on."""

    def double(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array

    return jax.tree.map(double, tree)


def sizes(largest: float) -> np.ndarray:
    """Returns the learning rates that errors are computed at."""
    return np.geomspace(largest, largest / 50, 8)


def errors(rule: str, point: Point, ratio: float, rates: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the distance of one update from the flows that model it.

    Args:
      rule: an update rule whose drift is known.
      ratio: of the second player's rate to the first's.
      rates: of the first player.

    Returns:
      {flow: |update - flow| at each of the rates}.
    """
    game, params = point
    distances: dict[str, list[float]] = {}
    for rate in tqdm(rates, f"flows of {rule} updates", unit="rate", delay=2, disable=None):
        each = dict(zip(game.players, (rate, ratio * rate), strict=False))
        update = _update_once(rule, point, each)
        drifts = {f"drift, {clock}": DRIFTS[rule](each, clock) for clock in get_args(Clock)}
        # Whatever clock its coefficients are of, a flow is read on the shared one.
        ends = {
            name: game_positions(game, params, each, 1, drift, "shared")[-1]
            for name, drift in ({"original flow": None} | drifts).items()
        }
        ends["third order"] = update_positions(rule, game, params, each, 1)[-1]
        for name, end in ends.items():
            distances.setdefault(name, []).append(float(np.linalg.norm(update - end)))
    return {name: np.array(values) for name, values in distances.items()}


def fitted_order(rates: np.ndarray, values: np.ndarray) -> float:
    """Returns the slope of errors at rates, fitted where the rates are smallest."""
    return np.polyfit(np.log(rates[-_FITTED:]), np.log(values[-_FITTED:]), 1)[0]


def _update_once(rule: str, point: Point, rates: dict[str, float]) -> np.ndarray:
    """Returns where one update of lib/games leads, flattened."""
    optimizer = {x: optimizers.make("sgd", h, {}) for x, h in rates.items()}
    bound_rule = updates.make(rule, point.game, optimizer, updates.Regularizers.none(point.game.players))
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), point.params)
    state, _ = bound_rule.step(bound_rule.init(params, {}), _NO_DATA, jax.random.key(0))
    return flatten(state.params)[0]


def draw(point: Point, ratio: float, rates: np.ndarray) -> "Figure":
    """Draws local errors against the rate, a panel for each rule; legends give the fitted slopes."""
    players = point.game.players
    figure = new_figure(9, 4)
    for axis, rule in zip(figure.subplots(1, 2, sharey=True), DRIFTS, strict=True):
        curves = errors(rule, point, ratio, rates).items()
        for (name, values), colour, marker in zip(curves, COLOURS, "os^D", strict=False):
            label = f"{name}: slope {fitted_order(rates, values):.2f}"
            axis.loglog(rates, values, marker=marker, color=colour, label=label)
        axis.set_title(rule, fontsize="medium")
        axis.set_xlabel(f"learning rate h of {players[0]}")
        axis.legend(frameon=False, loc="lower right", fontsize="small")
        hide_upper_spines(axis)
    figure.axes[0].set_ylabel("|one update - flow|")
    if len(players) > 1:
        figure.suptitle(f"learning rate of {players[1]}: {ratio:g} h", fontsize="medium")
    return figure
