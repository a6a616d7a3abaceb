"""Gradient descent at the edge of stability beside its central flow: `./run.sh plot central_flow`.

A small tanh network learns digits by full-batch gradient descent with a step size h so large that Hessian
eigenvalues reach 2/h. The central flow (lib/games/flows/central.py) and the gradient flow start at the same
parameters. Beside one another: losses and squared gradient norms, which of gradient descent oscillate and
of the central flow are predictions of their averages; the largest eigenvalues; and how far both flows are
from gradient descent. All in float64.

After the figures of Cohen, Damian, Talwalkar, Kolter, Lee, 'Understanding Optimization in Deep Learning
with Central Flows', ICLR 2025, arXiv 2410.24206.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl.flags import DEFINE_enum, DEFINE_float, DEFINE_integer, DEFINE_list, FlagValues
from jax.flatten_util import ravel_pytree
from tqdm import tqdm

from analysis.command import define_out, parse_flags, save
from lib.data import digits
from lib.data.pipeline import to_signed
from lib.errors import ConfigError
from lib.games import flows
from lib.games.flows import curvature
from lib.losses import classifier_cross_entropy
from lib.nets.mlp import MLP
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import cache
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, how near the central flow and the gradient flow are to gradient descent.

  ./run.sh plot central_flow [--loss=mse] [--rate=0.2] [--steps=400] [--k=6] [--hidden=32,32]
    [--examples=500] [--window=41] [--seed=0] [--out=FILE]
"""
_STRIDE = 4  # eigenvalues of gradient descent and of the gradient flow are computed every so many steps
_DIVERGED = 1e3  # times the loss of the start
CLASSES = 10


def squared_error(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns |output - onehot(label)|^2 / 2, [b]."""
    return jnp.sum((outputs - jax.nn.one_hot(labels, CLASSES, dtype=outputs.dtype)) ** 2, -1) / 2


LOSSES = {"mse": squared_error, "cross_entropy": classifier_cross_entropy}


def define(values: FlagValues) -> None:
    """Defines the flags of this picture."""
    DEFINE_enum("loss", "mse", list(LOSSES), "Of the network's outputs.", flag_values=values)
    DEFINE_float("rate", 0.2, "The step size h.", flag_values=values)
    DEFINE_integer("steps", 400, "Of gradient descent.", lower_bound=1, flag_values=values)
    DEFINE_integer("k", 6, "How many eigenvalues may be critical.", lower_bound=1, flag_values=values)
    DEFINE_list("hidden", ["32", "32"], "Widths of the tanh layers.", flag_values=values)
    DEFINE_integer("examples", 500, "Of the digits.", lower_bound=1, upper_bound=1500, flag_values=values)
    DEFINE_integer("window", 41, "Steps that averages are over.", lower_bound=1, flag_values=values)
    DEFINE_integer("seed", 0, "Of the first parameters.", flag_values=values)
    define_out(values, "central_flow.png")


def run(argv: list[str]) -> None:
    """Follows gradient descent and both flows; draws them, and prints how far they are apart.

    Raises:
      ConfigError: unknown flags, numbers that do not fit, or gradient descent that diverges.
    """
    values = parse_flags(argv, define, USAGE, "central_flow")
    cache.use_compilation_cache()
    with jax.enable_x64(True):
        loss, start = network(values.loss, _widths(values.hidden), values.examples, values.seed)
        _check(values, start.size)
        paths = follow(loss, start, values.rate, values.steps, values.k)
    print(table(paths, values.window))
    if (most := paths.critical.max()) == values.k:
        print(
            f"all {most} eigenvalues that were followed became critical: a larger --k may change the flow"
        )
    save(draw(paths, values.window, values.rate), Path(values.out))


def _widths(texts: list[str]) -> tuple[int, ...]:
    """Reads the widths of layers."""
    if not all(text.isdecimal() and int(text) for text in texts):
        raise ConfigError(f"'{','.join(texts)}' is no list of widths, such as 32,32", "--hidden")
    return tuple(map(int, texts))


def _check(values: FlagValues, size: int) -> None:
    """Refuses numbers that do not fit one another."""
    if not 0 < values.rate < float("inf"):
        raise ConfigError(f"{values.rate:g} is no step size; use one above 0", "--rate")
    if values.window > values.steps:
        raise ConfigError(f"{values.window} is more than {values.steps} steps", "--window")
    if values.k > size:
        raise ConfigError(f"{values.k} eigenvalues of {size} parameters", "--k")


def network(name: str, hidden: tuple[int, ...], examples: int, seed: int) -> tuple[Callable, np.ndarray]:
    """Returns (the mean loss on the first digits as a function of a flat vector, first parameters [d])."""
    data = digits.load(f"train[:{examples}]")
    images, labels = jnp.asarray(to_signed(jnp.asarray(data.image)), jnp.float64), jnp.asarray(data.label)
    net = MLP(CLASSES, hidden, "tanh")
    params = net.init(jax.random.key(seed), images[:1], train=True)
    flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params))

    def loss(theta: jax.Array) -> jax.Array:
        outputs, _ = net.apply(unravel(theta), images, train=True)
        return LOSSES[name](outputs, labels).mean()

    return loss, np.asarray(flat)


class Record(NamedTuple):
    """What one process was at the times n h, n = 0 .. steps.

    Attributes:
      positions: [steps + 1, d].
      losses, squared_gradients: there, [steps + 1].
      eigenvalues: the largest of the Hessian at every _STRIDE-th, [t, k].
    """

    positions: np.ndarray
    losses: np.ndarray
    squared_gradients: np.ndarray
    eigenvalues: np.ndarray


class Paths(NamedTuple):
    """Gradient descent and the flows that model it.

    Attributes:
      predicted: of the central flow, what it predicts of averages of gradient descent: losses and
        squared_gradients with the share of the oscillation, other fields as in `central`.
      critical: how many eigenvalues were, [steps + 1].
    """

    descent: Record
    central: Record
    predicted: Record
    flow: Record
    critical: np.ndarray


def follow(loss: Callable, start: np.ndarray, h: float, steps: int, k: int) -> Paths:
    """Follows gradient descent, its central flow and the gradient flow from the same parameters.

    Raises:
      ConfigError: one of them runs off to infinity.
    """
    descent = _record(loss, flows.gradient_descent(loss, h, start, steps), k)
    try:
        flow = _record(loss, flows.loss_positions("gradient_flow", loss, h, start, steps), k)
        points = flows.central_flow(loss, h, start, steps, k=k)
        points = list(tqdm(points, "central flow", steps + 1, unit="step", delay=2, disable=None))
    except flows.FlowError as error:
        raise ConfigError(f"{error}", "--rate") from error
    c = jax.tree.map(lambda *x: np.stack(x), *points)
    central = Record(c.position, c.loss, c.squared_gradient, c.eigenvalues[::_STRIDE])
    predicted = central._replace(losses=c.mean_loss, squared_gradients=c.mean_squared_gradient)
    return Paths(descent, central, predicted, flow, c.critical)


def _record(loss: Callable, positions: np.ndarray, k: int) -> Record:
    """Computes what a process was from where it was.

    Raises:
      ConfigError: its loss has grown far beyond that of the start.
    """

    def values(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, gradient = jax.value_and_grad(loss)(theta)
        return value, jnp.sum(gradient**2)

    losses, squared = jax.jit(lambda path: jax.lax.map(values, path))(positions)
    if not (losses < _DIVERGED * losses[0]).all():
        raise ConfigError("gradient descent diverges; use a smaller step size", "--rate")
    eigenvalues = curvature.along(loss, positions[::_STRIDE], k)
    return Record(positions, np.asarray(losses), np.asarray(squared), eigenvalues)


def averaged(values: np.ndarray, window: int) -> np.ndarray:
    """Returns the means over each `window` neighbours along the first axis, [t - window + 1, ..]."""
    sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), 0)
    return (sums[window:] - sums[:-window]) / window


def distances(record: Record, descent: Record, window: int) -> np.ndarray:
    """Returns how far the averages of a process are from those of gradient descent."""
    return np.linalg.norm(averaged(record.positions - descent.positions, window), axis=1)


def relative_errors(name: str, record: Record, descent: Record, window: int) -> np.ndarray:
    """Returns |average of the process / average of gradient descent - 1| of a field of records."""
    mean, expected = (averaged(getattr(r, name), window) for r in (record, descent))
    return np.abs(mean - expected) / expected


def table(paths: Paths, window: int) -> str:
    """Formats what the flows predict of averages of gradient descent, and their errors."""
    records = (paths.descent, paths.predicted, paths.central, paths.flow)
    rows = [
        (f"averages over {window} steps", "descent", "central flow", "without oscillation", "gradient flow")
    ]
    for name, text in (("losses", "loss"), ("squared_gradients", "squared gradient norm")):
        last = [averaged(getattr(record, name), window)[-1] for record in records]
        errors = [relative_errors(name, record, paths.descent, window) for record in records[1:]]
        rows.append((f"{text}, last", *(f"{value:.4g}" for value in last)))
        rows.append(("its relative error, median", "", *(f"{np.median(error):.1%}" for error in errors)))
        rows.append(("its relative error, largest", "", *(f"{error.max():.1%}" for error in errors)))
    part = max(1, window // _STRIDE)
    top = [f"{record.eigenvalues[-part:, 0].mean():.4g}" for record in records]
    rows.append(("largest eigenvalue, last", *top))
    travelled = np.linalg.norm(averaged(paths.descent.positions, window)[-1] - paths.descent.positions[0])
    apart = [distances(record, paths.descent, window) for record in records[1:]]
    rows.append(("distance, last", f"travelled {travelled:.3g}", *(f"{each[-1]:.3g}" for each in apart)))
    rows.append(("distance, largest", "", *(f"{each.max():.3g}" for each in apart)))
    return aligned(rows)


_DESCENT, _CENTRAL, _FLOW, _RAW = "black", COLOURS[0], COLOURS[1], "0.75"


def draw(paths: Paths, window: int, h: float) -> "Figure":
    """Draws losses, eigenvalues, squared gradient norms and distances against the step."""
    figure = new_figure(11, 7.4)
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)
    _draw_averages(top_left, "losses", "loss", paths, window)
    _draw_eigenvalues(top_right, paths, h)
    _draw_averages(low_left, "squared_gradients", "squared gradient norm", paths, window)
    _draw_distances(low_right, paths, window)
    for axis in figure.axes:
        axis.set_xlabel("step")
        if axis is not low_left:  # its lines are those above it
            axis.legend(frameon=False, fontsize="small")
        hide_upper_spines(axis)
    return figure


def _middles(window: int, n: int) -> np.ndarray:
    """Returns the steps in the middle of n windows."""
    return np.arange(n) + (window - 1) / 2


def _draw_averages(axis: "Axes", name: str, label: str, paths: Paths, window: int) -> None:
    """Draws a quantity of gradient descent, its average, and what flows say of it, on a log scale."""
    values = getattr(paths.descent, name)
    mean = averaged(values, window)
    axis.semilogy(values, color=_RAW, lw=0.8, label="gradient descent")
    axis.semilogy(getattr(paths.flow, name), color=_FLOW, ls="-.", label="gradient flow")
    axis.semilogy(
        getattr(paths.central, name), color=_CENTRAL, ls=":", label="central flow, without oscillation"
    )
    axis.semilogy(
        getattr(paths.predicted, name), color=_CENTRAL, label="central flow, prediction of the average"
    )
    middles = _middles(window, len(mean))
    axis.semilogy(middles, mean, color=_DESCENT, ls="--", label=f"gradient descent, average of {window}")
    axis.set_ylabel(label)


def _draw_eigenvalues(axis: "Axes", paths: Paths, h: float) -> None:
    """Draws the largest eigenvalues, those of the central flow in colours, and 2/h."""
    steps = _STRIDE * np.arange(len(paths.descent.eigenvalues))
    for i, values in enumerate(paths.descent.eigenvalues.T):
        axis.plot(steps, values, color=_RAW, lw=0.8, label="" if i else "gradient descent")
    for i, values in enumerate(paths.central.eigenvalues.T):
        axis.plot(steps, values, color=_CENTRAL, lw=1.2, label="" if i else "central flow")
    axis.plot(steps, paths.flow.eigenvalues[:, 0], color=_FLOW, ls="-.", label="gradient flow, the largest")
    axis.axhline(2 / h, color="black", lw=0.8, ls="--", label="2/h")
    axis.set_ylim(0, 3.2 / h)
    axis.set_ylabel("largest eigenvalues of the Hessian")


def _draw_distances(axis: "Axes", paths: Paths, window: int) -> None:
    """Draws how far the flows are from gradient descent, and from its average."""
    for record, colour, name in (
        (paths.flow, _FLOW, "gradient flow"),
        (paths.central, _CENTRAL, "central flow"),
    ):
        raw = np.linalg.norm(record.positions - paths.descent.positions, axis=1)
        mean = distances(record, paths.descent, window)
        axis.plot(raw, color=colour, lw=0.6, alpha=0.6, label=f"{name} from gradient descent")
        axis.plot(_middles(window, len(mean)), mean, color=colour, label=f"{name} from its average")
    axis.set_ylabel("distance of parameters")
