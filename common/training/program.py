"""Trained networks as programs that JAX runs without this package: StableHLO, by `jax.export`.

import jax

program = jax.export.deserialize(open("model.stablehlo", "rb").read())
scores = program.call(images)  # uint8[B, H, W, C] -> float32[B, K]
"""

import os
from collections.abc import Callable

import chex
import jax
import jax.export
import jax.numpy as jnp

from common.file_formats import replacing

PLATFORMS = ("cpu", "cuda", "tpu")


def save(
    path: str | os.PathLike, logits: Callable[[chex.Array], chex.Array], image_shape: tuple[int, int, int]
) -> None:
    """Writes a network, with its parameters and its normalization of images, for any number of images.

    Args:
      logits: uint8[B, H, W, C] -> float32[B, K].
      image_shape: (H, W, C).
    """
    (num,) = jax.export.symbolic_shape("num_images")
    images = jax.ShapeDtypeStruct((num, *image_shape), jnp.uint8)
    made = jax.export.export(jax.jit(logits), platforms=PLATFORMS)(images)
    with replacing.replacing(path) as file:
        file.write(made.serialize())
