"""A GAN as a differentiable game of a discriminator and a generator.

The networks are in nets.py, the losses in losses.py, the GAN's own evaluation in evaluation.py; the update
rule, the optimisers and the regularisers are the config's, and the mathematics of moving the players is
lib/games'.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.gan import evaluation, modes, nets
from experiments.gan.config import PLAYERS, GanConfig
from experiments.gan.losses import PENALTIES, GanLosses
from experiments.gan.nets import Nets
from lib import losses
from lib.data import DataSpec
from lib.data.pipeline import to_signed
from lib.errors import lookup, within
from lib.experiment import Batch, Experiment, GameView
from lib.games.game import Game, Head
from lib.games.microbatches import in_microbatches
from lib.games.regularizers import min_batch
from lib.games.updates import BoundRule, GameState
from lib.pictures.artefacts import Images

_GRID = 100  # images in a sample grid
_POINTS = 2_000  # points in a scatter


def build(config: GanConfig, spec: DataSpec) -> Experiment:
    """Builds the experiment of a validated config.

    Raises:
      ConfigError: unknown names, or networks that do not fit the data.
    """
    gan = config.gan
    with within("config.gan"):
        pair = nets.make(gan.nets, gan.num_latents, gan.spectral_norm, spec, config.dataset.name)
        disc_loss = lookup(losses.DISC, gan.disc_loss, "disc_loss")
        gen_loss = lookup(losses.GEN, gan.gen_loss, "gen_loss")
    penalties = {"gradient": gan.gradient_penalty, "r1": gan.r1_penalty, "r2": gan.r2_penalty}
    penalties = {name: weight for name, weight in penalties.items() if weight}
    losses_of = GanLosses(pair, disc_loss, gen_loss)
    game = Game(PLAYERS, losses_of, Head(losses_of.outputs, losses_of.of_outputs))
    least = min_batch(gan.grad_regularizes.estimator)
    with within("config.gan"):
        rule = gan.as_rule(in_microbatches(game, gan.microbatch), gan.averages, gan.diagnostics)

    def draw(key: jax.Array, batch: Batch) -> tuple[dict, dict]:
        return pair.init(key, real(batch)[:2])

    def begin(drawn: tuple[dict, dict]) -> GameState:
        params, net_state = drawn
        weights = {name: jnp.asarray(weight, float) for name, weight in penalties.items()}
        return rule.init(params, {**net_state, PENALTIES: weights})

    def train_step(state: GameState, batch: Batch, key: jax.Array):
        new, metrics = rule.step(state, to_signed(batch["image"]), key)
        # A mean over devices may have rounded the weights.
        return new._replace(net_state=new.net_state | {PENALTIES: state.net_state[PENALTIES]}), metrics

    def eval_step(state: GameState, batch: Batch, key: jax.Array):
        return evaluation.eval_step(pair, spec.mixture, rule.evaluated(state), batch, key)

    return Experiment(
        draw=draw,
        begin=begin,
        train_step=train_step,
        eval_step=eval_step,
        eval_summary=modes.summary if spec.mixture else dict,
        outputs=outputs(pair, spec, rule),
        averages=rule.averages,
        batches_per_step=rule.batches_per_step,
        min_device_batch=least,
        # Estimators of terms divide a batch in two.
        device_batch_multiple=max(gan.microbatch * (least if gan.adds_terms or gan.diagnostics else 1), 1),
        main_metrics=("disc_loss", "gen_loss"),
        game=GameView(rule, real),
    )


def real(batch: Batch) -> jax.Array:
    """Returns what the update rule takes of a batch: images [b, h, w, c] in [-1, 1], or points [b, d]."""
    return to_signed(batch["image"])


def _sample(pair: Nets, state: GameState, key: jax.Array, n: int) -> jax.Array:
    """Returns n samples: images [n, h, w, c] in [-1, 1], or points [n, d]."""
    return pair.generate(state.params, state.net_state, pair.latents(key, n), train=False)[0]


_draw = jax.jit(_sample, static_argnums=(0, 3))  # compiled once for all runs with the same networks


def outputs(pair: Nets, spec: DataSpec, rule: BoundRule) -> dict[str, Callable]:
    """Returns what evaluators and pictures may call: samples of images, and a picture of samples."""
    draw = functools.partial(_draw, pair)

    def sample(state: GameState, key: jax.Array, n: int) -> jax.Array:
        return _sample(pair, rule.evaluated(state), key, n)

    def shown(state: GameState) -> dict[str, GameState]:
        averages = {f"{kind}_samples": averaged for kind, averaged in rule.averages(state).items()}
        return {"samples": rule.evaluated(state), **averages}

    def images(state: GameState, key: jax.Array, means):
        del means
        return {name: Images(draw(s, key, _GRID)) for name, s in shown(state).items()}

    def points(state: GameState, key: jax.Array, means):
        del means
        return {
            name: modes.picture(draw(s, key, _POINTS), spec.mixture) for name, s in shown(state).items()
        }

    if len(spec.image_shape) == 3:
        return {"samples": sample, "artefacts": images}
    return {"artefacts": points} if spec.mixture else {}
