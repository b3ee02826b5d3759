"""Costs of architectures as functions of the row: parameters and multiply-adds, exact and traceable.

Nothing is built for an architecture: the cost of a network is a sum of table entries, one for each choice, and the
tables are counted once from the modules of the space's network; that of a graph follows from its widths. So a search
can respect a limit before it evaluates anything, on millions of rows. The counts are those of `counting`: without the
auxiliary head; multiply-adds of convolutions and linear layers for one image.
"""

import functools
from collections.abc import Callable

import chex
import numpy as np

from common.networks import (
    cell_costs,
    chain_costs,
    child,
    convnet,
    cost_sums,
    mobile,
    small_images,
    small_images_costs,
)
from common.networks.of_space import NETWORKS
from common.spaces import nasbench201, ofa_mobile

NAMES = ("params", "macs")  # the columns of a table
Network = child.Config | mobile.Config | convnet.Config | small_images.Config


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
      image_size: side of the images; by default 32 pixels for cells and `small_images`, 224 for `seminas_mobile`, and
        that of the row for `ofa_mobile`. Benchmarks and the space "convnet", whose settings hold it, have none.
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
    return _column(*settings)(at, archs)


@functools.lru_cache(maxsize=64)
def _column(space, config, image_size, num_channels):
    """Returns the function (0 for parameters or 1 for multiply-adds, archs) -> costs of a space's networks."""
    if space in _PUBLISHED:
        return _PUBLISHED[space]
    if space == "convnet":
        return chain_costs.of_convnet(config or convnet.Config()).column
    config = config or NETWORKS[space]
    if isinstance(config, child.Config):
        return cell_costs.of_cells(space, config, image_size or 32, num_channels).column
    if isinstance(config, small_images.Config):
        return small_images_costs.of_small_images(config, image_size or 32, num_channels).column
    if space == "seminas_mobile":
        return chain_costs.of_seminas(config, image_size or 224, num_channels).column
    sizes = np.array(ofa_mobile.RESOLUTIONS)
    sizes = sizes if image_size is None else np.full(len(sizes), image_size)
    return chain_costs.of_ofa(config, sizes, num_channels).column


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
    return cost_sums.Sum(np.array([73_306, 7_943_872]), lambda archs: archs, tables)


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
    return cost_sums.Sum(np.array([387_882, 7_713_280]), lambda archs: archs, tables)


_PUBLISHED = {
    "nasbench101": cell_costs.of_nasbench101,
    "nasbench201": _nasbench201().column,
    "nasbench_macro": _nasbench_macro().column,
}
SPACES = frozenset({*_PUBLISHED, "convnet", *NETWORKS})  # whose costs are known
