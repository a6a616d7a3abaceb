"""A GAN as a differentiable game of a discriminator and a generator.

The networks are in nets.py, the losses in losses.py, the GAN's own evaluation in evaluation.py; the update
rule, the optimisers and the regularisers are the config's, and the mathematics of moving the players is
lib/games'.
"""

import functools
from collections.abc import Callable

import jax

from experiments.gan import evaluation, modes, nets
from experiments.gan.config import PLAYERS, GanConfig
from experiments.gan.losses import GanLosses, Penalties
from experiments.gan.nets import Nets
from lib import losses
from lib.data import DataSpec
from lib.data.pipeline import to_signed
from lib.errors import lookup, within
from lib.experiment import Batch, Experiment, GameView
from lib.games.averages import averaged_states
from lib.games.game import Game
from lib.games.regularizers import min_batch
from lib.games.updates import GameState
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
    penalties = Penalties(gan.gradient_penalty, gan.r1_penalty, gan.r2_penalty)
    game = Game(PLAYERS, GanLosses(pair, disc_loss, gen_loss, penalties))
    with within("config.gan"):
        rule = gan.as_rule(game, gan.averages, gan.diagnostics)

    def init(key: jax.Array, batch: Batch) -> GameState:
        return rule.init(*pair.init(key, real(batch)[:2]))

    def train_step(state: GameState, batch: Batch, key: jax.Array):
        return rule.step(state, to_signed(batch["image"]), key)

    return Experiment(
        init=init,
        train_step=train_step,
        eval_step=functools.partial(evaluation.eval_step, pair, spec.mixture),
        eval_summary=modes.summary if spec.mixture else dict,
        outputs=outputs(pair, spec),
        averages=averaged_states,
        batches_per_step=rule.batches_per_step,
        min_device_batch=min_batch(gan.grad_regularizes.estimator),
        main_metrics=("disc_loss", "gen_loss"),
        game=GameView(rule, real),
    )


def real(batch: Batch) -> jax.Array:
    """Returns what the update rule takes of a batch: images [b, h, w, c] in [-1, 1], or points [b, d]."""
    return to_signed(batch["image"])


def outputs(pair: Nets, spec: DataSpec) -> dict[str, Callable]:
    """Returns what evaluators and pictures may call: samples of images, and a picture of samples."""

    def sample(state: GameState, key: jax.Array, n: int) -> jax.Array:
        latents = pair.latents(key, n)
        return pair.generate(state.params, state.net_state, latents, train=False)[0]

    draw = jax.jit(sample, static_argnums=2)

    def shown(state: GameState) -> dict[str, GameState]:
        averages = {f"{kind}_samples": averaged for kind, averaged in averaged_states(state).items()}
        return {"samples": state, **averages}

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
