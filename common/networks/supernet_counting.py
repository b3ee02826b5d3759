"""Parameter counts of many architectures of a space at once, by which NAO-V2 samples them (arXiv:1909.10815)."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from common.genotypes import cell_rows
from common.genotypes.genotype import NUM_INPUTS
from common.networks import child, heads, layers, operations, shared_cells, supernet
from common.spaces import cells as cell_spaces


def num_params(space: str, config: child.Config, archs: np.ndarray) -> np.ndarray:
    """Returns int64[B], the parameters of the stand-alone network of each architecture, without its auxiliary head.

    The outputs of cells are those of the genotype, concatenated; the counts are those of `counting.num_params`.

    Args:
      space: see `supernet.Network`.
      config: the stacking of the cells.
      archs: int32[B, L].
    """
    supernet.check(space, config)
    layout = cell_rows.LAYOUTS[space]
    pairs = np.asarray(cell_spaces.branches(layout, np.asarray(archs)))
    states = np.arange(layout.num_nodes + NUM_INPUTS)
    is_output = ~np.any(pairs[..., 0].reshape(*pairs.shape[:2], -1, 1) == states, axis=2)  # [B, C, N + 2]
    if config.output != "projected":
        is_output[:] = states >= NUM_INPUTS
    width, is_larger = config.width, config.stem == "imagenet"
    before = previous = np.full(len(pairs), supernet.stem_width(config))
    total = np.full(len(pairs), _size(heads.STEMS[config.stem](supernet.stem_width(config), config.style), 3))
    for at in range(config.num_cells):
        is_reduction = at in config.reductions
        width *= 2 if is_reduction else 1
        total += _calibration_size(config, width, before, previous, is_larger)
        inputs, chosen = np.moveaxis(pairs[:, int(is_reduction)].reshape(len(pairs), -1, 2), -1, 0)
        groups = shared_cells.groups(layout.num_nodes, is_reduction=is_reduction)
        sizes = np.array(
            [[_operation_size(name, config, width, group.stride) for name in layout.operations] for group in groups]
        )
        total += np.sum(sizes[(inputs >= groups[0].end).astype(int), chosen], axis=1)
        ends = is_output[:, int(is_reduction)]
        if is_reduction:
            reduction = layers.FactorizedReduction(width, config.style)
            total += np.sum(ends[:, :NUM_INPUTS], axis=1) * _size(reduction, width)
        before, previous, is_larger = previous, width * np.sum(ends, axis=1), is_reduction
    return total + (previous + config.has_bias) * config.num_classes


def _calibration_size(config, width, before, previous, is_larger):
    """Returns the parameters of `cells.Calibration`: a convolution and a norm for each state that needs them."""
    kind, norm = config.style.calibration, 2 * width * config.style.is_affine
    is_needed = [(channels != width) | (kind == "always") for channels in (before, previous)]
    size = np.where(is_needed[0] | is_larger, before * width + norm, 0)
    size += np.where(is_needed[1], previous * width + norm, 0)
    return size + (width * width + norm if kind == "nao_ws_tf" else 0)


def _operation_size(name, config, width, stride):
    operation = operations.OPERATIONS[name](features=width, stride=stride, style=config.style)
    return _size(operation, width)


def _size(module, channels):
    """Returns the parameters of a module whose inputs have so many channels."""
    init = functools.partial(module.init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes.get("params", {})))
