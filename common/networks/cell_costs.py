"""Costs of networks of cells as functions of the row: those of NAO and LaNAS, and NAS-Bench-101, see `costs`."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.genotypes import cell_rows
from common.genotypes.genotype import NUM_INPUTS
from common.networks import child, cost_sums, counting, heads, layers, operations, shared_cells
from common.spaces import cells as cell_spaces
from common.spaces import nasbench101, nasbench101_graphs

_AREAS = {"conv1x1-bn-relu": 1, "conv3x3-bn-relu": 9, "maxpool3x3": 0}  # weights of a filter for each input channel


def of_cells(space: str, config: child.Config, image_size: int, num_channels: int) -> cost_sums.Sum:
    """Returns the costs of `cell_rows.LAYOUTS`: each branch by its operation, the rest by the number of outputs."""
    layout, style = cell_rows.LAYOUTS[space], config.style
    num_states = layout.num_nodes + NUM_INPUTS
    ends = np.indices((num_states + 1,) * 2)  # outputs of the normal and of the reduction cell
    branches = np.zeros((2, 2, len(layout.operations), 2), np.int64)  # cell, reads a node, operation
    inputs = np.zeros((NUM_INPUTS + 1, 2), np.int64)  # by the inputs among the outputs of the reduction cell
    stem = _count(heads.STEMS[config.stem](config.stem_width, style), num_channels, image_size)
    total = np.zeros((*ends[0].shape, 2), np.int64) + stem
    before = previous = np.full(ends[0].shape, config.stem_width)
    width, is_larger = config.width, config.stem == "imagenet"
    side = -(-image_size // 8) if is_larger else image_size
    for at in range(config.num_cells):
        is_reduction = at in config.reductions
        width *= 2 if is_reduction else 1
        total += _calibration(config, width, side, (before, previous), is_larger)
        inner = -(-side // 2) if is_reduction else side
        groups = shared_cells.groups(layout.num_nodes, is_reduction=is_reduction)
        for reads_node, group in enumerate((groups[0], groups[-1])):
            for operation, name in enumerate(layout.operations):
                module = operations.OPERATIONS[name](features=width, stride=group.stride, style=style)
                size = side if group.stride == 2 else inner
                branches[int(is_reduction), reads_node, operation] += _count(module, width, size)
        if is_reduction:
            reduction = _count(layers.FactorizedReduction(width, style), width, side)
            inputs += np.arange(NUM_INPUTS + 1)[:, None] * reduction[None]
        before, previous, is_larger, side = previous, width * ends[int(is_reduction)], is_reduction, inner
    head = np.stack([previous + config.has_bias, previous], axis=-1) * config.num_classes
    size = max(len(layout.operations) * 2, ends[0].size)
    by_branch = branches.reshape(2, -1, 2).repeat(2 * layout.num_nodes, axis=0)
    tables = [cost_sums.pad(table, size) for table in (*by_branch, (total + head).reshape(-1, 2), inputs)]

    def index(archs):
        xp = np if isinstance(archs, np.ndarray) else jnp
        pairs = cell_spaces.branches(layout, archs)
        if len(layout.cells) == 1:
            pairs = xp.concatenate([pairs, pairs], axis=1)
        is_output = cell_rows.outputs(space, pairs)  # [B, 2, N + 2]
        numbers = is_output.sum(axis=2)
        chosen = (pairs[..., 0] >= NUM_INPUTS) * len(layout.operations) + pairs[..., 1]
        others = [numbers[:, 0] * (num_states + 1) + numbers[:, 1], is_output[:, 1, :NUM_INPUTS].sum(axis=1)]
        return xp.concatenate([chosen.reshape(len(archs), -1), xp.stack(others, axis=1)], axis=1)

    return cost_sums.Sum(np.zeros(2, np.int64), index, np.stack(tables))


def _calibration(config, width, side, channels, is_larger):
    """Returns the costs of `cells.Calibration`: a pointwise convolution and a norm for each input that needs one."""
    kind, norm = config.style.calibration, 2 * width * config.style.is_affine
    before, previous = (np.stack([inputs * width + norm, inputs * width * side**2], axis=-1) for inputs in channels)
    is_needed = [(inputs != width) | (kind == "always") for inputs in channels]
    found = before * (is_needed[0] | is_larger)[..., None] + previous * is_needed[1][..., None]
    return found + (np.array([width * width + norm, width * width * side**2]) if kind == "nao_ws_tf" else 0)


@functools.lru_cache(maxsize=4096)
def _count(module, channels, side):
    """Returns int64[2], the costs of a module called with images of so many channels and pixels a side."""
    images = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    shapes = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), images)
    run = jax.make_jaxpr(functools.partial(module.apply, train=False))(shapes, images)
    return np.array(
        [sum(leaf.size for leaf in jax.tree.leaves(shapes.get("params", {}))), counting.multiply_adds(run.jaxpr)]
    )


def of_nasbench101(at: int, archs: chex.Array) -> chex.Array:
    """Returns a cost of the published networks of NAS-Bench-101: three stages of three cells, on images of CIFAR-10.

    Vertices that feed the output share its channels, earlier ones get the remainder; others are as wide as the widest
    that they feed; the input is projected to the width of each vertex that it feeds (arXiv:1902.09635, section 2.3). So
    cells that differ only in the numbering of vertices can differ by a fraction of a percent.

    Args:
      at: 0 for parameters, 1 for multiply-adds of convolutions and the linear layer.
      archs: int[B, 26], valid rows.

    Returns:
      int64[B] of a NumPy array, float32[B] of a JAX array.
    """
    xp, dtype = (np, np.int64) if isinstance(archs, np.ndarray) else (jnp, jnp.float32)
    edges, chosen = nasbench101_graphs.split(nasbench101_graphs.prune(archs))
    has = {edge: edges[:, place] for place, edge in enumerate(nasbench101_graphs.EDGES)}
    inner, last = range(1, nasbench101_graphs.NUM_VERTICES - 1), nasbench101_graphs.NUM_VERTICES - 1
    to_output = xp.stack([has[v, last] for v in inner], axis=1)
    from_input = xp.stack([has[0, v] for v in inner], axis=1).astype(dtype)
    skips = has[0, last].astype(dtype)
    number, order = xp.maximum(to_output.sum(axis=1), 1), xp.cumsum(to_output, axis=1)
    area = xp.asarray([_AREAS[name] for name in nasbench101.OPERATIONS])[chosen].astype(dtype)
    norm = 2 * (at == 0)  # its parameters for each channel
    stem, *_ = widths = (128, 256, 512)
    total, before = stem * 27 * 32**2 if at else stem * (27 + norm), stem
    for width, side in zip(widths, (32, 16, 8), strict=True):
        fed = to_output * (width // number[:, None] + (order <= (width % number)[:, None]))
        channels = {v: fed[:, v - 1] for v in inner}
        for v in reversed(inner):
            for w in range(v + 1, last):
                channels[v] = xp.maximum(channels[v], has[v, w] * channels[w])
        channel = xp.stack([channels[v] for v in inner], axis=1).astype(dtype)
        convolutions = (area * channel**2 + norm * (area > 0) * channel).sum(axis=1)
        projected = (from_input * channel).sum(axis=1) + skips * width
        found = 3 * convolutions + (before + 2 * width + 3 * norm) * projected
        total, before = total + found * (side**2 if at else 1), width
    return total + before * 10 + (0 if at else 10)
