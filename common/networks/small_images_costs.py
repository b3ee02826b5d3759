"""Costs of the networks of the space `small_images`: sums of a table for each stage, see `costs`."""

import chex
import jax.numpy as jnp
import numpy as np

from common.networks import cost_sums, inverted_residual, small_images
from common.spaces import small_images as space


def of_small_images(config: small_images.Config, image_size: int, num_channels: int) -> cost_sums.Sum:
    """Returns the costs of rows: of each stage by its decisions and the width before it, the classifier in the last."""
    kernel, stride = small_images.stem(config, image_size)
    side, before, tables = image_size, [num_channels] * len(space.WIDTHS), []
    for at in range(space.NUM_STAGES):
        side = -(-side // stride)
        widths = [small_images.width(config, at, halves) for halves in space.WIDTHS]
        table = np.zeros((len(before), *space.STAGE_CHOICES, 2), np.int64)
        for choices in np.ndindex(table.shape[:-1]):
            stage = space.Stages(*choices[1:])
            width = widths[stage.width]
            weights = before[choices[0]] * width * kernel**2
            table[choices] = np.array([weights + 2 * width, weights * side**2])
            table[choices] += stage.depth * np.array(_block(stage, width, side))
            if at == space.NUM_STAGES - 1:
                table[choices] += np.array([(width + 1), width]) * config.num_classes
        tables.append(table.reshape(-1, 2))
        kernel, stride, before = 3, 2, widths
    return cost_sums.Sum(np.zeros(2, np.int64), _index, np.stack(tables))


def _block(stage, width, side):
    """Returns the parameters and multiply-adds of a block."""
    if stage.kind == space.INVERTED:
        inner = width * space.EXPANSIONS[stage.expansion]
        weights = 2 * width * inner + inner * space.KERNELS[stage.kernel] ** 2
        params = weights + 2 * (2 * inner + width)
    else:
        weights = 2 * 9 * width * width
        params = weights + 4 * width
    macs = weights * side**2
    if stage.squeeze and stage.kind != space.PLAIN:
        hidden = inverted_residual.make_divisible(width // inverted_residual.SQUEEZE, 1)
        params, macs = params + 2 * width * hidden + hidden + width, macs + 2 * width * hidden
    return params, macs


def _index(archs: chex.Array) -> chex.Array:
    """Returns int[B, 3], the place of each stage in its table."""
    stages = space.decoded(archs)
    xp = np if isinstance(archs, np.ndarray) else jnp
    place = xp.pad(stages.width, ((0, 0), (1, 0)))[:, :-1]
    for choices, chosen in zip(space.STAGE_CHOICES, stages, strict=True):
        place = place * choices + chosen
    return place
