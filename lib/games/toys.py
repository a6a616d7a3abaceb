"""Small games without data, with known equilibria: to see dynamics, and to test them against closed forms.

Two players `disc` and `gen`, whose parameters are vectors x and y, or one player `model`. In a zero-sum
game `gen` minimises what `disc` maximises, as in a GAN.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from lib.errors import ConfigError, lookup, nearest, within
from lib.games.game import Aux, Game, gradients

PAIR = ("disc", "gen")
ALONE = ("model",)
Matrix = Sequence[Sequence[float]]


class Toy(NamedTuple):
    """A game of vectors.

    Attributes:
      game: ignores net_state, batch and key.
      sizes: {player: length of its vector}, in the order of points.
      equilibria: [k, d]: where the joint gradient is zero and players may come to rest.
      half_width: of a picture around the equilibria that shows the dynamics.
    """

    game: Game
    sizes: Mapping[str, int]
    equilibria: np.ndarray
    half_width: float

    @property
    def size(self) -> int:
        """Returns d, the length of a point: the vectors of all players one after the other."""
        return sum(self.sizes.values())

    def params(self, point: ArrayLike) -> dict[str, jax.Array]:
        """Splits a point [d], which may be complex, into {player: vector}."""
        ends = np.cumsum(list(self.sizes.values()))[:-1]
        vector = jnp.asarray(point, complex if jnp.iscomplexobj(point) else float)
        return dict(zip(self.sizes, jnp.split(vector, ends), strict=True))

    def point(self, params: Mapping[str, jax.Array]) -> jax.Array:
        """Joins {player: vector} to a point [d]."""
        return jnp.concatenate([params[x] for x in self.sizes])

    def losses(self, point: ArrayLike) -> jax.Array:
        """Returns every player's loss at a point [d]: [players]."""
        values, _ = self.game.losses(self.params(point), {}, None, None)
        return jnp.stack([values[x] for x in self.sizes])

    def gradient(self, point: ArrayLike) -> jax.Array:
        """Returns the joint gradient, every player's of its own loss, at a point [d]: [d]."""
        own, _, _ = gradients(self.game, self.params(point), {}, None, None)
        return self.point(own)


def _pair(disc: Callable, gen: Callable, sizes: Sequence[int], equilibria, half_width: float) -> Toy:
    """Makes a game of the losses `(x, y) -> scalar` of two players."""

    def losses(params, net_state, batch, key):
        x, y = (params[name] for name in PAIR)
        return {"disc": disc(x, y), "gen": gen(x, y)}, Aux(net_state, {})

    sizes = dict(zip(PAIR, sizes, strict=True))
    return Toy(Game(PAIR, losses), sizes, np.asarray(equilibria, float), half_width)


def _alone(loss: Callable, size: int, equilibria, half_width: float) -> Toy:
    """Makes a game of the loss `(x) -> scalar` of one player."""

    def losses(params, net_state, batch, key):
        return {"model": loss(params["model"])}, Aux(net_state, {})

    return Toy(Game(ALONE, losses), {"model": size}, np.asarray(equilibria, float), half_width)


def quadratic(
    disc: Matrix = ((1.0, 0.0), (0.0, 0.1)),
    gen: Matrix = ((0.1, 0.0), (0.0, 0.5)),
    disc_gen: Matrix = ((1.0, 0.0), (0.5, 1.0)),
    gen_disc: Matrix = ((-1.0, -0.5), (0.0, -1.0)),
    disc_linear: Sequence[float] | None = None,
    gen_linear: Sequence[float] | None = None,
) -> Toy:
    """Makes the general quadratic game.

    L_disc = 1/2 x^T A x + x^T B y + a^T x,    L_gen = 1/2 y^T D y + y^T C x + b^T y

    Its joint gradient is J (x, y) + (a, b) with J = [[A, B], [C, D]].

    Args:
      disc, gen: A [m, m] and D [n, n], symmetric.
      disc_gen, gen_disc: B [m, n] and C [n, m]; C = -B^T makes the interaction zero-sum.
      disc_linear, gen_linear: a [m] and b [n]; None: zero.

    Raises:
      ConfigError: matrices that do not fit one another, or a singular J, which has no one equilibrium.
    """
    a, d = (_symmetric(name, value) for name, value in {"disc": disc, "gen": gen}.items())
    m, n = len(a), len(d)
    b, c = _shaped("disc_gen", disc_gen, (m, n)), _shaped("gen_disc", gen_disc, (n, m))
    linear = [
        np.zeros(size) if value is None else _shaped(name, value, (size,))
        for name, value, size in (("disc_linear", disc_linear, m), ("gen_linear", gen_linear, n))
    ]
    jacobian = np.block([[a, b], [c, d]])
    if np.linalg.matrix_rank(jacobian) < m + n:
        raise ConfigError(
            "the game's Jacobian [[disc, disc_gen], [gen_disc, gen]] is singular: no one equilibrium; "
            "change one of them"
        )
    equilibrium = np.linalg.solve(jacobian, -np.concatenate(linear))

    def of_disc(x, y):
        return x @ _new(a) @ x / 2 + x @ _new(b) @ y + _new(linear[0]) @ x

    def of_gen(x, y):
        return y @ _new(d) @ y / 2 + y @ _new(c) @ x + _new(linear[1]) @ y

    return _pair(of_disc, of_gen, (m, n), [equilibrium], 1.5)


def bilinear(coupling: float = 1.0) -> Toy:
    """Makes min_y max_x of -coupling x y, scalars: only rotation. Gidel et al., AISTATS 2019."""
    return quadratic([[0.0]], [[0.0]], [[coupling]], [[-coupling]])


def rotational(damping: float = 0.2) -> Toy:
    """Makes a spiral, stable as a flow for a positive damping.

    x' = -damping x + y, y' = -x - damping y
    Rosca, Wu, Dherin, Barrett, ICML 2021: discrete steps of size h are stable iff (1 - damping h)^2 + h^2 <
    1.
    """
    return quadratic([[damping]], [[damping]], [[-1.0]], [[1.0]])


def dirac_gan() -> Toy:
    """Makes the Dirac GAN: a discriminator x, a generator y that makes one point; data at 0.

    Mescheder, Geiger, Nowozin, ICML 2018. L_disc = log sigmoid(x y) = -L_gen, up to constants.
    """

    def value(x, y):
        return jax.nn.log_sigmoid(x @ y)

    return _pair(value, lambda x, y: -value(x, y), (1, 1), [[0.0, 0.0]], 1.5)


def quadratic_loss(weights: Sequence[float] = (1.0, 0.01)) -> Toy:
    """Makes sum_i weights_i x_i^2, curvatures 2 weights_i; by default that of Rosca et al., TMLR 2023."""
    weights = _shaped("weights", weights, (None,))
    return _alone(lambda x: jnp.sum(_new(weights) * x**2), len(weights), [np.zeros(len(weights))], 0.5)


def double_well(tilt: float = 0.1) -> Toy:
    """Makes x^4 / 4 - x^2 / 2 + tilt x, of a scalar.

    It has two minima while |tilt| < 0.38, the left one lower for tilt > 0.
    """
    roots = np.roots([1.0, 0.0, -1.0, tilt])
    real = roots[np.abs(roots.imag) < 1e-9].real
    minima = np.sort(real[3 * real**2 > 1])
    return _alone(lambda x: jnp.sum(x**4 / 4 - x**2 / 2 + tilt * x), 1, minima[:, None], 1.0)


def banana(steepness: float = 5.0) -> Toy:
    """Makes (1 - x)^2 + steepness (y - x^2)^2 (Rosenbrock, 1960): a curved valley, minimum at (1, 1)."""

    def loss(p):
        return (1 - p[0]) ** 2 + steepness * (p[1] - p[0] ** 2) ** 2

    return _alone(loss, 2, [[1.0, 1.0]], 2.2)


TOYS: dict[str, Callable[..., Toy]] = {
    "bilinear": bilinear,
    "quadratic": quadratic,
    "rotational": rotational,
    "dirac_gan": dirac_gan,
    "quadratic_loss": quadratic_loss,
    "double_well": double_well,
    "banana": banana,
}


def make(name: str, kwargs: Mapping[str, Any]) -> Toy:
    """Builds a game by name.

    Raises:
      ConfigError: an unknown name or argument, or values that make no game; of the fields `game` and
        `kwargs`.
    """
    factory = lookup(TOYS, name, "game")
    known = factory.__annotations__.keys() - {"return"}
    for key in kwargs:
        if key not in known:
            hint = nearest(key, known) if known else "; it takes none"
            raise ConfigError(f"'{name}' takes no such argument{hint}", f"kwargs.{key}")
    with within("kwargs"):
        for key, value in kwargs.items():
            if factory.__annotations__[key] is float:
                _shaped(key, value, ())
        return factory(**kwargs)


def _new(array: np.ndarray) -> jax.Array:
    """Copies a constant of a loss.

    JAX keeps NumPy's by identity, in the precision that it first saw them in.
    """
    return jnp.asarray(array.copy(), float)


def _shaped(name: str, value: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """Checks that a value is an array of finite numbers, and returns it; None is any length."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        array = np.asarray("")
    lengths = zip(shape, array.shape, strict=False)
    fits = array.ndim == len(shape) and array.size and all(n in (None, m) for n, m in lengths)
    if not fits or array.dtype.kind not in "if" or not np.isfinite(array).all():
        size = " x ".join("n" if n is None else str(n) for n in shape)
        what = f"{size} finite numbers" if shape else "a finite number"
        raise ConfigError(f"{value!r} must be {what}", name)
    return array.astype(float)


def _symmetric(name: str, value: Matrix) -> np.ndarray:
    """Checks that a value is a symmetric matrix, and returns it."""
    array = _shaped(name, value, (None, None))
    if array.shape != array.T.shape or (array != array.T).any():
        raise ConfigError(f"{value} must be symmetric", name)
    return array
