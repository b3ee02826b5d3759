"""A mobile space in the manner of Once-for-all (arXiv:1908.09791, section 3), which LaNAS searched on ImageNet.

A row of 46 decisions: the resolution of the images, from 128 to 224 pixels in steps of 4; then for each of 5 stages its
depth, 2 to 4 blocks, and for each of 4 blocks the kernel of its depthwise convolution, 3, 5 or 7, and its expansion,
3, 4 or 6. Blocks beyond the depth of their stage do not exist; in the canonical row their choices are 0. LaNAS' own
encoding was never released. A limit on multiply-adds is left to the evaluator.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory

RESOLUTIONS = tuple(range(128, 225, 4))
DEPTHS, KERNELS, EXPANSIONS = (2, 3, 4), (3, 5, 7), (3, 4, 6)
NUM_STAGES, MAX_DEPTH = 5, max(DEPTHS)
_STAGE_CHOICES = (len(DEPTHS), *(len(KERNELS), len(EXPANSIONS)) * MAX_DEPTH)
NUM_CHOICES = (len(RESOLUTIONS), *_STAGE_CHOICES * NUM_STAGES)
LARGEST = tuple(number - 1 for number in NUM_CHOICES)
# Phases of progressive shrinking, by decision: the resolution, then kernels, depths, expansions.
SHRINKING = (0, *(2, *(1, 3) * MAX_DEPTH) * NUM_STAGES)


def space() -> types.SearchSpace:
    """Returns the space: the resolution, then for each stage its depth and `kernel expansion` of each block."""
    return factory.search_space(
        "ofa_mobile",
        NUM_CHOICES,
        size=len(RESOLUTIONS) * sum((len(KERNELS) * len(EXPANSIONS)) ** depth for depth in DEPTHS) ** NUM_STAGES,
        describe=describe,
        canonicalize=_canonicalize,
        features=features,
    )


def features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 167] of rows int32[B, 46].

    Columns: the resolution between 0 and 1, and its square; the depths of the stages, one-hot; kernel and expansion of
    each block, one-hot, zero for a missing block; half the number of blocks with each kernel and each expansion in
    each stage.
    """
    batch = archs.shape[0]
    resolution = archs[:, :1] / np.float32(len(RESOLUTIONS) - 1)
    depths, blocks, exists = decoded(archs)
    blocks = jnp.concatenate([jax.nn.one_hot(blocks[..., 0], 3), jax.nn.one_hot(blocks[..., 1], 3)], axis=-1)
    blocks = blocks * exists[..., None]  # [B, 5, 4, 6]
    columns = (resolution, resolution**2, jax.nn.one_hot(depths, len(DEPTHS)), blocks, 0.5 * blocks.sum(axis=2))
    return jnp.concatenate([column.reshape(batch, -1).astype(jnp.float32) for column in columns], axis=1)


def describe(arch: np.ndarray) -> str:
    """Returns a text of one row (46,), blocks by expansion and kernel, such as `224 px | mb3_k3 mb6_k5 | ...`."""
    resolution, stages = to_stages(arch)
    return " | ".join([f"{resolution} px", *map(" ".join, stages)])


def to_stages(arch: np.ndarray) -> tuple[int, tuple[tuple[str, ...], ...]]:
    """Returns the resolution of one row (46,), and the names of the blocks of each stage."""
    depths, blocks, _ = decoded(np.asarray(arch)[None])
    stages = tuple(
        tuple(f"mb{EXPANSIONS[expansion]}_k{KERNELS[kernel]}" for kernel, expansion in stage[: DEPTHS[depth]].tolist())
        for depth, stage in zip(depths[0], blocks[0], strict=True)
    )
    return RESOLUTIONS[int(arch[0])], stages


def decoded(archs: chex.Array) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Returns depths int[B, 5], (kernel, expansion) int[B, 5, 4, 2], and bool[B, 5, 4], the blocks that exist."""
    stages = archs[:, 1:].reshape(-1, NUM_STAGES, len(_STAGE_CHOICES))
    exists = np.arange(MAX_DEPTH)[None, None] < stages[..., :1] + min(DEPTHS)
    return stages[..., 0], stages[..., 1:].reshape(-1, NUM_STAGES, MAX_DEPTH, 2), exists


def extremes(archs: chex.Array) -> chex.Array:
    """Returns int32[2, 46] for two rows: the largest network, and the smallest."""
    return jnp.stack([jnp.broadcast_to(jnp.array(LARGEST, archs.dtype), archs[0].shape), jnp.zeros_like(archs[1])])


def _canonicalize(archs: chex.Array) -> chex.Array:
    depths, blocks, exists = decoded(archs)
    blocks = jnp.where(exists[..., None], blocks, 0).reshape(*depths.shape, -1)
    stages = jnp.concatenate([depths[..., None], blocks], axis=-1).reshape(archs.shape[0], -1)
    return jnp.concatenate([archs[:, :1], stages], axis=1)
