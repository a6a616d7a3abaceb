"""A classifier of pairs of sentences: both are encoded by one bidirectional LSTM.

    u = max over words of [LSTM forwards, LSTM backwards], and of 0
    features = [u, v, |u - v|, u * v]
    logits = features W1 W2 W3, without anything in between

Conneau, Kiela, Schwenk, Barrault, Bordes, 'Supervised Learning of Universal Sentence Representations from
Natural Language Inference Data', EMNLP 2017. The 0 in the maximum is that of the padding, over which the
published code pools as well. First weights are uniform, as in its framework.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from pydantic import PositiveInt

from lib.nets.options import NetOptions

_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class SentencePairsOptions(NetOptions):
    """Options of `SentencePairs`, which says what they mean."""

    hidden: PositiveInt = 2048
    dense: tuple[PositiveInt, ...] = (512, 512)
    embedding: PositiveInt = 300


class SentencePairs(nn.Module):
    """Maps (words int [b, 2, t], vectors or None) to (logits [b, classes], features [b, 8 hidden]).

    Word 0 is no word: it stands behind a sentence's last one. `vectors` [words + 1, d] are not trained;
    without them the network has its own.

    Attributes:
      num_classes: of the logits.
      num_words: the largest number of a word.
      hidden: units of the LSTM in each direction.
      dense: widths of the linear layers before the logits.
      embedding: length of the network's own word vectors.
    """

    num_classes: int
    num_words: int
    hidden: int
    dense: Sequence[int]
    embedding: int

    @nn.compact
    def __call__(self, inputs: tuple[jax.Array, jax.Array | None], train: bool):
        del train
        words, vectors = inputs
        b, _, t = words.shape
        words = words.reshape(2 * b, t)
        if vectors is None:
            seen = nn.Embed(self.num_words + 1, self.embedding)(words)
        else:
            seen = vectors[words]
        u, v = jnp.moveaxis(self._encode(seen, words > 0).reshape(b, 2, -1), 1, 0)
        features = jnp.concatenate([u, v, jnp.abs(u - v), u * v], -1)
        x = features
        for width in self.dense:
            x = nn.Dense(width, kernel_init=_UNIFORM)(x)
        return nn.Dense(self.num_classes, kernel_init=_UNIFORM)(x), features

    def _encode(self, seen: jax.Array, is_word: jax.Array) -> jax.Array:
        """Maps sentences [n, t, d] to [n, 2 hidden]."""
        bound = 1 / self.hidden**0.5

        def uniform(key, shape, dtype):
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        def sum_of_two(key, shape, dtype):  # as the published framework's two biases
            return uniform(key, (2, *shape), dtype).sum(0)

        first = {"kernel_init": uniform, "recurrent_kernel_init": uniform, "bias_init": sum_of_two}
        cells = [nn.OptimizedLSTMCell(self.hidden, param_dtype=seen.dtype, **first) for _ in range(2)]
        both = nn.Bidirectional(*map(nn.RNN, cells))
        states = both(seen, seq_lengths=is_word.sum(-1))
        return jnp.max(jnp.where(is_word[..., None], states, 0.0), axis=1, initial=0.0)
