"""Costs of architectures as functions of the row: parameters and multiply-adds, exact and traceable.

Nothing is built for an architecture: the cost of a network is a sum of table entries, one for each choice, and the
tables are counted once from the modules of the space's network. So a search can respect a limit before it evaluates
anything, on millions of rows. The counts are those of `counting`: without the auxiliary head; multiply-adds of
convolutions and linear layers for one image.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.genotypes import cell_rows
from common.genotypes.genotype import NUM_INPUTS
from common.networks import (
    child,
    convnet,
    counting,
    heads,
    inverted_residual,
    layers,
    mobile,
    operations,
    shared_cells,
)
from common.networks.of_space import NETWORKS
from common.spaces import cells as cell_spaces
from common.spaces import convnet as convnet_space
from common.spaces import nasbench201, ofa_mobile, seminas_mobile

NAMES = ("params", "macs")  # the columns of a table
Network = child.Config | mobile.Config | convnet.Config


class _Sum(NamedTuple):
    """The costs of a row: `constant` plus, for each of T terms, the entry of its table at the row's index.

    Attributes:
      constant: int64[2].
      index: archs int[B, L] -> int[B, T], NumPy or JAX as `archs`.
      tables: int64[T, K, 2].
    """

    constant: np.ndarray
    index: Callable[[chex.Array], chex.Array]
    tables: np.ndarray

    def column(self, at: int, archs: chex.Array) -> chex.Array:
        """Returns the cost `at` of each row: int64[B] of a NumPy array, float32[B] of a JAX array."""
        tables, constant = self.tables[..., at], self.constant[at]
        index = self.index(archs)
        if not isinstance(archs, np.ndarray):  # 64-bit integers need a global option of JAX
            tables, constant = jnp.asarray(tables, jnp.float32), jnp.float32(constant)
        return constant + tables[np.arange(len(self.tables))[None], index].sum(axis=1)


def is_known(space: str, config: Network | None = None) -> bool:
    """Returns whether `of_space` knows the costs of a space's networks."""
    style = getattr(config, "style", None)
    return space in SPACES and (style is None or style.calibration != "nao_tf")


def of_space(
    space: str, config: Network | None = None, *, image_size: int | None = None, num_channels: int = 3
) -> dict[str, Callable[[chex.Array], chex.Array]]:
    """Returns the costs of the networks of a space as functions of their rows.

    Args:
      space: its name in `common.spaces.SPACES`.
      config: settings of the network, such as width and number of cells; by default the space's network.
      image_size: side of the images; by default 32 pixels for cells, 224 for `seminas_mobile`, and that of the row for
        `ofa_mobile`. Benchmarks and the space "convnet", whose settings hold it, have none.
      num_channels: of the images.

    Returns:
      "params" and "macs" -> a function of int[B, L], valid canonical rows: a NumPy array gives exact counts, int64[B];
      a JAX array, traced or not, gives float32[B], rounded.

    Raises:
      ValueError: nothing is known of such networks of the space.
    """
    if not is_known(space, config):
        known = f"those of {', '.join(sorted(SPACES))} are, but for calibration 'nao_tf'"
        raise ValueError(f"the parameters and multiply-adds of these networks of {space} are not known; {known}")
    settings = (space, config, image_size, num_channels)
    return {name: functools.partial(_cost, settings, at) for at, name in enumerate(NAMES)}


def _cost(settings, at, archs):
    return _sum(*settings).column(at, archs)


@functools.lru_cache(maxsize=64)
def _sum(space, config, image_size, num_channels):
    """Returns the tables of a space, counted once."""
    if space in _PUBLISHED:
        return _PUBLISHED[space]()
    if space == "convnet":
        return _convnet(config or convnet.Config())
    config = config or NETWORKS[space]
    if isinstance(config, child.Config):
        return _cells(space, config, image_size or 32, num_channels)
    if space == "seminas_mobile":
        return _seminas(config, image_size or 224, num_channels)
    sizes = np.array(ofa_mobile.RESOLUTIONS)
    return _ofa(config, sizes if image_size is None else np.full(len(sizes), image_size), num_channels)


def _cells(space, config, image_size, num_channels):
    """Costs of cells: each branch by its operation, the rest by the numbers of states that cells output."""
    layout, style = cell_rows.LAYOUTS[space], config.style
    num_states = layout.num_nodes + NUM_INPUTS
    ends = np.indices((num_states + 1,) * 2)  # outputs of the normal and of the reduction cell
    branches = np.zeros((2, 2, len(layout.operations), 2), np.int64)  # cell, reads a node, operation
    inputs = np.zeros((NUM_INPUTS + 1, 2), np.int64)  # by the inputs among the outputs of the reduction cell
    stem_width = config.width if config.stem == "imagenet" else config.stem_multiplier * config.width
    stem = _count(heads.STEMS[config.stem](stem_width, style), num_channels, image_size)
    total = np.zeros((*ends[0].shape, 2), np.int64) + stem
    before = previous = np.full(ends[0].shape, stem_width)
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
    tables = [_pad(table, size) for table in (*by_branch, (total + head).reshape(-1, 2), inputs)]

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

    return _Sum(np.zeros(2, np.int64), index, np.stack(tables))


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


def _pad(table, size):
    return np.pad(table, ((0, size - len(table)), (0, 0)))


def _seminas(config, image_size, num_channels):
    """Costs of SemiNAS' chain: a table for each of the 21 blocks."""
    kinds = [tuple(map(int, mobile.BLOCK.fullmatch(name).groups())) for name in seminas_mobile.OPERATIONS[:-1]]
    constant, places = _chain(config, seminas_mobile.STAGES, kinds, np.array(image_size), num_channels)
    tables = np.pad(np.stack(places), ((0, 0), (0, 1), (0, 0)))  # "zero" costs nothing
    return _Sum(constant, lambda archs: archs, tables)


def _ofa(config, image_sizes, num_channels):
    """Costs of Once-for-all's chain: tables by resolution and kind for each of 20 blocks, and of the rest."""
    kinds = [(expansion, kernel) for kernel in ofa_mobile.KERNELS for expansion in ofa_mobile.EXPANSIONS]
    depths = (ofa_mobile.MAX_DEPTH,) * ofa_mobile.NUM_STAGES
    constant, places = _chain(config, depths, kinds, image_sizes, num_channels)
    blocks = np.pad(np.stack(places), ((0, 0), (0, 0), (0, 1), (0, 0)))  # the last of 10: no block
    size = blocks[0].size // 2
    tables = [*blocks.reshape(len(places), size, 2), _pad(constant, size)]

    def index(archs):
        xp = np if isinstance(archs, np.ndarray) else jnp
        _, chosen, exists = ofa_mobile.decoded(archs)
        kind = xp.where(exists, chosen[..., 0] * len(ofa_mobile.EXPANSIONS) + chosen[..., 1], len(kinds))
        kind = kind.reshape(len(archs), -1)
        return xp.concatenate([archs[:, :1] * (len(kinds) + 1) + kind, archs[:, :1]], axis=1)

    return _Sum(np.zeros(2, np.int64), index, np.stack(tables))


def _chain(config, depths, kinds, image_size, num_channels):
    """Costs of a chain of inverted residuals without its blocks, and of each kind of block at each place.

    Args:
      config: settings of the chain.
      depths: places for blocks of each stage.
      kinds: (expansion, kernel) of each kind of block.
      image_size: int[...], sides of images.
      num_channels: of the images.

    Returns:
      int64[..., 2], and for each place int64[..., K, 2] for K kinds.
    """
    norm = 2 * config.style.is_affine
    side = -(-image_size // 2)

    def both(params, macs):
        return np.stack(np.broadcast_arrays(np.asarray(params, np.int64), np.asarray(macs, np.int64)), axis=-1)

    def block(inputs, outputs, side, stride, kind, has_squeeze):
        expansion, kernel = kind
        inner = inputs if expansion == 1 else inverted_residual.make_divisible(inputs * expansion, config.divisor)
        end = -(-side // stride)
        params, macs = inner * kernel**2 + inner * outputs, (inner * kernel**2 + inner * outputs) * end**2
        params += norm * (inner + outputs)
        if expansion > 1:
            params, macs = params + inputs * inner + norm * inner, macs + inputs * inner * side**2
        if has_squeeze:
            squeezed = inverted_residual.make_divisible(inner // inverted_residual.SQUEEZE, config.divisor)
            params, macs = params + 2 * inner * squeezed + inner + squeezed, macs + 2 * inner * squeezed
        return both(params, macs)

    stem = config.stem_width * 9 * num_channels
    constant = both(stem + norm * config.stem_width, stem * side**2)
    constant = constant + block(config.stem_width, config.first_width, side, 1, (1, 3), False)
    inputs, places = config.first_width, []
    for stage, depth in enumerate(depths):
        for at in range(depth):
            stride = config.strides[stage] if at == 0 else 1
            outputs, has_squeeze = config.widths[stage], config.squeezes[stage]
            found = [block(inputs, outputs, side, stride, kind, has_squeeze) for kind in kinds]
            places.append(np.stack(found, axis=-2))
            inputs, side = outputs, -(-side // stride)
    last = inputs * config.last_width
    constant = constant + both(last + norm * config.last_width, last * side**2)
    linear = config.last_width * config.feature_width
    width = config.feature_width or config.last_width
    classifier = width * config.num_classes
    return constant + both(linear + classifier + config.num_classes, linear + classifier), places


def _convnet(config):
    """Costs of plain convolution layers: by the layer and its neighbours, as a missing layer ends the network."""
    kinds = 1 + convnet_space.NUM_LAYERS
    tables = np.zeros((convnet_space.MAX_DEPTH, kinds, kinds, kinds, 2), np.int64)  # previous, own, next
    side = config.image_size
    for at, table in enumerate(tables):
        for previous, kind in np.ndindex(kinds, kinds):
            if kind and bool(previous) == bool(at):  # canonical rows have their layers first
                width, kernel = config.widths[kind > 2], config.kernels[kind % 2 == 0]
                weights = width * kernel**2 * (config.widths[previous > 2] if at else 1)
                table[previous, kind] += [weights + width, weights * side**2]
                table[previous, kind, 0] += [config.num_classes * (width + 1), config.num_classes * width]
        side //= 2 if at + 1 in config.pooled else 1

    def index(archs):
        xp = np if isinstance(archs, np.ndarray) else jnp
        ends = xp.pad(archs, ((0, 0), (1, 1)))
        return (ends[:, :-2] * kinds + archs) * kinds + ends[:, 2:]

    return _Sum(np.zeros(2, np.int64), index, tables.reshape(len(tables), -1, 2))


def _nasbench201():
    """The published network of CIFAR-10: 16 channels, 5 cells a stage; its multiply-adds count norms and ReLUs."""
    table = np.zeros((len(nasbench201.OPERATIONS), 2), np.int64)
    for name, costs in (
        ("nor_conv_1x1", (28_000, 4_362_240)),
        ("nor_conv_3x3", (243_040, 35_819_520)),
        ("avg_pool_3x3", (0, 1_290_240)),
    ):
        table[nasbench201.OPERATIONS.index(name)] = costs
    tables = np.repeat(table[None], len(nasbench201.EDGES), axis=0)
    return _Sum(np.array([73_306, 7_943_872]), lambda archs: archs, tables)


def _nasbench_macro():
    """The published table, which is a sum over its layers."""
    params = (
        (8_416, 21_952),
        (27_200, 60_416),
        (31_168, 76_672),
        (103_552, 219_136),
        (103_552, 219_136),
        (119_680, 284_416),
        (403_712, 831_488),
        (403_712, 831_488),
    )
    macs = (
        (4_415_488, 10_141_696),
        (6_733_824, 15_040_512),
        (4_304_896, 9_527_296),
        (6_512_640, 13_811_712),
        (6_512_640, 13_811_712),
        (4_249_600, 9_220_096),
        (6_402_048, 13_197_312),
        (6_402_048, 13_197_312),
    )
    tables = np.pad(np.stack([params, macs], axis=-1), ((0, 0), (1, 0), (0, 0)))
    return _Sum(np.array([387_882, 7_713_280]), lambda archs: archs, tables)


_PUBLISHED = {"nasbench201": _nasbench201, "nasbench_macro": _nasbench_macro}
SPACES = frozenset({*_PUBLISHED, "convnet", *NETWORKS})  # whose costs are known
