"""Costs of the networks of NAS-Bench-201 and NAS-Bench-Macro: sums of a table for each choice, see `costs`."""

import numpy as np

from common.networks import cost_sums, nasbench201, nasbench_macro
from common.spaces import nasbench201 as edges


def of_nasbench201(
    config: nasbench201.Config, image_size: int, num_channels: int, *, counts_all: bool
) -> cost_sums.Sum:
    """Returns the costs of rows: of each edge by its operation, and of the rest.

    Args:
      counts_all: whether multiply-adds include norms, ReLUs and pools, as the column `flops` of NAS-Bench-Suite-Zero
        (arXiv:2210.03230) does: 2 and 1 per value, and the window per pooled value, of which the global pool has
        (side + 1)^2. Without, they are the FLOPs of NAS-Bench-201's own program.
    """
    norms, relus, pools = (counts_all * number for number in (2, 1, 1))
    width, side = config.width, image_size
    constant = _convolution(num_channels, width, 3, side, norms)
    table = np.zeros((len(edges.OPERATIONS), 2), np.int64)
    for stage, depth in enumerate(config.depths):
        if stage:
            end = -(-side // 2)
            constant += [0, relus * width * (side**2 + 2 * end**2)]
            constant += _convolution(width, 2 * width, 3, end, norms)
            constant += _convolution(2 * width, 2 * width, 3, end, norms)
            constant += [2 * width**2, 2 * width**2 * end**2 + pools * 4 * width * end**2]
            width, side = 2 * width, end
        for name, size in (("nor_conv_1x1", 1), ("nor_conv_3x3", 3)):
            costs = _convolution(width, width, size, side, norms)
            costs[1] += relus * width * side**2
            table[edges.OPERATIONS.index(name)] += depth * costs
        table[edges.OPERATIONS.index("avg_pool_3x3")] += [0, depth * pools * 9 * width * side**2]
    constant += [2 * width, (norms + relus) * width * side**2 + pools * width * (side + 1) ** 2]
    constant += [(width + 1) * config.num_classes, width * config.num_classes]
    tables = np.repeat(table[None], len(edges.EDGES), axis=0)
    return cost_sums.Sum(constant, lambda archs: archs, tables)


def of_nasbench_macro(config: nasbench_macro.Config, image_size: int, num_channels: int) -> cost_sums.Sum:
    """Returns the costs of rows: of each layer by its choice, and of the rest."""
    width, side, tables = config.width, image_size, []
    constant = _convolution(num_channels, width, 3, side)
    for depth in nasbench_macro.STAGES:
        for at in range(depth):
            outputs, end = (width, side) if at else (2 * width, -(-side // 2))
            identity = np.zeros(2, np.int64) if at else _convolution(width, outputs, 1, end)
            blocks = []
            for expansion, kernel in ((3, 3), (6, 5)):
                inner = expansion * width
                depthwise = inner * kernel**2
                found = _convolution(width, inner, 1, side) + _convolution(inner, outputs, 1, end)
                found += [depthwise + 2 * inner, depthwise * end**2]
                blocks.append(found)
            tables.append(np.stack([identity, *blocks]))
            width, side = outputs, end
    constant += _convolution(width, config.last_width, 1, side)
    constant += [(config.last_width + 1) * config.num_classes, config.last_width * config.num_classes]
    return cost_sums.Sum(constant, lambda archs: archs, np.stack(tables))


def _convolution(inputs, outputs, size, side, norms=0):
    """Returns the costs of a convolution and its norm, whose output has `side` x `side` pixels."""
    weights = inputs * outputs * size**2
    return np.array([weights + 2 * outputs, (weights + norms * outputs) * side**2])
