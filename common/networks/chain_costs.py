"""Costs of networks that are chains of blocks or layers as functions of the row, see `costs`."""

import jax.numpy as jnp
import numpy as np

from common.networks import convnet, cost_sums, inverted_residual, mobile
from common.spaces import convnet as convnet_space
from common.spaces import ofa_mobile, seminas_mobile


def of_seminas(config: mobile.Config, image_size: int, num_channels: int) -> cost_sums.Sum:
    """Returns the costs of SemiNAS' chains: a table for each of the 21 blocks."""
    kinds = [tuple(map(int, mobile.BLOCK.fullmatch(name).groups())) for name in seminas_mobile.OPERATIONS[:-1]]
    constant, places = _chain(config, seminas_mobile.STAGES, kinds, np.array(image_size), num_channels)
    tables = np.pad(np.stack(places), ((0, 0), (0, 1), (0, 0)))  # "zero" costs nothing
    return cost_sums.Sum(constant, lambda archs: archs, tables)


def of_ofa(config: mobile.Config, image_sizes: np.ndarray, num_channels: int) -> cost_sums.Sum:
    """Returns the costs of Once-for-all's chains: tables by resolution and kind for 20 blocks, and of the rest."""
    kinds = [(expansion, kernel) for kernel in ofa_mobile.KERNELS for expansion in ofa_mobile.EXPANSIONS]
    depths = (ofa_mobile.MAX_DEPTH,) * ofa_mobile.NUM_STAGES
    constant, places = _chain(config, depths, kinds, image_sizes, num_channels)
    blocks = np.pad(np.stack(places), ((0, 0), (0, 0), (0, 1), (0, 0)))  # the last of 10: no block
    size = blocks[0].size // 2
    tables = [*blocks.reshape(len(places), size, 2), cost_sums.pad(constant, size)]

    def index(archs):
        xp = np if isinstance(archs, np.ndarray) else jnp
        _, chosen, exists = ofa_mobile.decoded(archs)
        kind = xp.where(exists, chosen[..., 0] * len(ofa_mobile.EXPANSIONS) + chosen[..., 1], len(kinds))
        kind = kind.reshape(len(archs), -1)
        return xp.concatenate([archs[:, :1] * (len(kinds) + 1) + kind, archs[:, :1]], axis=1)

    return cost_sums.Sum(np.zeros(2, np.int64), index, np.stack(tables))


def _chain(config, depths, kinds, image_size, num_channels):
    """Costs of a chain of inverted residuals without its blocks, and of each kind of block at each place.

    Args:
      depths: places for blocks of each stage.
      kinds: (expansion, kernel) of each kind of block.
      image_size: int[...], sides of images.

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


def of_convnet(config: convnet.Config) -> cost_sums.Sum:
    """Returns the costs of plain convolution layers: by the layer and its neighbours; a missing layer is the end."""
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

    return cost_sums.Sum(np.zeros(2, np.int64), index, tables.reshape(len(tables), -1, 2))
