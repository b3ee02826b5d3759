"""Small networks for small images: three stages, each of one convolution and up to three blocks of one kind.

A row of 18 decisions, for each of three stages:

  kind       plain (convolution), residual or inverted (inverted residual)
  depth      0 to 3 blocks
  width      half, once or twice the width of the stage
  kernel     3 or 5, of the depthwise convolution of inverted residuals
  expansion  2 or 4, of inverted residuals
  squeeze    whether residual and inverted residual blocks have squeeze-and-excitation

Every stage starts with a convolution that changes width and image size, so a stage may have no blocks. Decisions that
have no effect, such as the kind of a stage without blocks, are 0 in the canonical row. Rows do not depend on the size
and the number of channels of the images, which `common.networks.small_images` follows.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory

KINDS = ("plain", "residual", "inverted")
PLAIN, RESIDUAL, INVERTED = range(3)
MAX_DEPTH = 3
WIDTHS = (1, 2, 4)  # in halves
KERNELS, EXPANSIONS = (3, 5), (2, 4)
NUM_STAGES = 3
STAGE_CHOICES = (len(KINDS), 1 + MAX_DEPTH, len(WIDTHS), len(KERNELS), len(EXPANSIONS), 2)
NUM_CHOICES = STAGE_CHOICES * NUM_STAGES
IS_ORDERED = np.array((False, True, True, True, True, False) * NUM_STAGES)  # a larger choice is a larger network
_NUM_BLOCKS = 1 + 2 + 2 * len(KERNELS) * len(EXPANSIONS)  # plain, residual and inverted residual
_NUM_STAGE_ROWS = len(WIDTHS) * (1 + MAX_DEPTH * _NUM_BLOCKS)


class Stages(NamedTuple):
    """Decisions by name, each int[B, 3]: one for every stage."""

    kind: Any
    depth: Any
    width: Any
    kernel: Any
    expansion: Any
    squeeze: Any


def _row(*stages: tuple[int, ...]) -> tuple[int, ...]:
    return sum(stages, ())


# Known networks by name: three plain convolutions, and blocks in each stage as in ResNet, SE-ResNet, wide ResNet
# (arXiv:1605.07146) and MobileNetV2.
MEMBERS: dict[str, tuple[int, ...]] = {
    "three_convolutions": _row(*((PLAIN, 0, 2, 0, 0, 0),) * NUM_STAGES),
    "resnet": _row(*((RESIDUAL, 2, 1, 0, 0, 0),) * NUM_STAGES),
    "se_resnet": _row(*((RESIDUAL, 2, 1, 0, 0, 1),) * NUM_STAGES),
    "wide_resnet": _row(*((RESIDUAL, 1, 2, 0, 0, 0),) * NUM_STAGES),
    "mobilenet": _row(*((INVERTED, 2, 1, 0, 1, 0),) * NUM_STAGES),
}
PUBLISHED = [row for name, row in MEMBERS.items() if name != "three_convolutions"]


def space() -> types.SearchSpace:
    """Returns the space of 1,061,208 networks."""
    return factory.search_space(
        "small_images",
        NUM_CHOICES,
        size=_NUM_STAGE_ROWS**NUM_STAGES,
        describe=describe,
        canonicalize=canonicalize,
        features=features,
    )


def decoded(archs: chex.Array) -> Stages:
    """Returns the decisions of int32[..., 18], each int32[..., 3]."""
    stages = archs.reshape(*archs.shape[:-1], NUM_STAGES, len(STAGE_CHOICES))
    return Stages(*(stages[..., at] for at in range(len(STAGE_CHOICES))))


def canonicalize(archs: chex.Array) -> chex.Array:
    """Returns int32[B, 18] with 0 for each decision that has no effect."""
    stages = decoded(archs)
    kind = jnp.where(stages.depth > 0, stages.kind, PLAIN)
    found = stages._replace(
        kind=kind,
        kernel=jnp.where(kind == INVERTED, stages.kernel, 0),
        expansion=jnp.where(kind == INVERTED, stages.expansion, 0),
        squeeze=jnp.where(kind == PLAIN, 0, stages.squeeze),
    )
    return jnp.stack(found, axis=-1).reshape(archs.shape)


def extremes(archs: chex.Array) -> chex.Array:
    """Returns int32[2, 18]: the first of two rows with all sizes at their largest, the second at their smallest."""
    sizes = jnp.stack([jnp.array(NUM_CHOICES) - 1, jnp.zeros(len(NUM_CHOICES), jnp.int32)])
    return canonicalize(jnp.where(IS_ORDERED[None], sizes, archs))


def features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 51] of rows int32[B, 18].

    Columns of each stage: depth and width one-hot; kind, kernel, expansion and squeeze one-hot, zero where they have
    no effect; and the depth of each kind.
    """
    stages = decoded(archs)
    has_blocks = (stages.depth > 0)[..., None]
    is_inverted = (has_blocks[..., 0] & (stages.kind == INVERTED))[..., None]
    kind = jax.nn.one_hot(stages.kind, len(KINDS)) * has_blocks
    columns = (
        jax.nn.one_hot(stages.depth, 1 + MAX_DEPTH),
        jax.nn.one_hot(stages.width, len(WIDTHS)),
        kind,
        jax.nn.one_hot(stages.kernel, len(KERNELS)) * is_inverted,
        jax.nn.one_hot(stages.expansion, len(EXPANSIONS)) * is_inverted,
        stages.squeeze[..., None],
        kind[..., 1:] * stages.depth[..., None],
    )
    return jnp.concatenate([column.astype(jnp.float32) for column in columns], axis=-1).reshape(len(archs), -1)


def describe(arch: np.ndarray) -> str:
    """Returns a text of one row (18,), such as `conv_x2 residual_se residual_se | conv_x4 | conv_x1 plain`.

    The factors of convolutions are the width in halves of the width of the stage.
    """
    return " | ".join(map(" ".join, to_stages(arch)))


def to_stages(arch: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Returns the names of the blocks of each stage of one row (18,)."""
    return tuple(stage_names(Stages(*row)) for row in np.asarray(arch).reshape(NUM_STAGES, -1).tolist())


def stage_names(stage: Stages) -> tuple[str, ...]:
    """Returns the names of the blocks of one stage, such as `conv_x2`, `inverted_k5_e4_se`, `inverted_k5_e4_se`."""
    sizes = f"_k{KERNELS[stage.kernel]}_e{EXPANSIONS[stage.expansion]}" if stage.kind == INVERTED else ""
    block = KINDS[stage.kind] + sizes + "_se" * (stage.kind != PLAIN and stage.squeeze)
    return (f"conv_x{WIDTHS[stage.width]}", *(block,) * stage.depth)
