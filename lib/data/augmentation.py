"""Random changes of training images, inside the compiled step; images [b, h, w, c] of any type.

Every image has its own numbers, which depend on the key and on its place in the whole batch alone: so the
result is the same on any number of devices.
"""

import jax
import jax.numpy as jnp

from lib.runtime.devices import device_share


def pad_and_crop(image: jax.Array, key: jax.Array, padding: int) -> jax.Array:
    """Crops a window of the image's own size out of the image with `padding` zeros on every side.

    All windows are equally likely.
    """
    sides = (padding, padding)
    padded = jnp.pad(image, ((0, 0), sides, sides, (0, 0)))

    def corners(n: int) -> jax.Array:
        return jax.random.randint(key, (n, 2), 0, 2 * padding + 1)

    def window(one: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(one, (*corner, 0), image.shape[1:])

    return jax.vmap(window)(padded, device_share(corners, len(image)))


def flip(image: jax.Array, key: jax.Array) -> jax.Array:
    """Exchanges left and right in half of the images."""
    flipped = device_share(lambda n: jax.random.bernoulli(key, shape=(n,)), len(image))
    return jnp.where(flipped[:, None, None, None], image[:, :, ::-1], image)
