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
    mobile_elastic,
    nasbench_costs,
    nasbench_macro,
    small_images,
    small_images_costs,
)
from common.networks.of_space import NETWORKS
from common.networks.of_space import Config as NetworkOfSpace
from common.spaces import ofa_mobile

NAMES = ("params", "macs")  # the columns of a table
Network = NetworkOfSpace | convnet.Config


def is_known(space: str, config: Network | None = None) -> bool:
    """Returns whether `of_space` knows the costs of a space's networks."""
    style = getattr(config, "style", None)
    return space in SPACES and (style is None or style.calibration not in ("nao_tf", "nao_ws_tf_shared"))


def of_space(
    space: str, config: Network | None = None, *, image_size: int | None = None, num_channels: int = 3
) -> dict[str, Callable[[chex.Array], chex.Array]]:
    """Returns the costs of the networks of a space as functions of their rows.

    Args:
      space: its name in `common.spaces.SPACES`.
      config: settings of the network, such as width and number of cells; by default the space's network. Without it,
        the multiply-adds of `nasbench201` include norms, ReLUs and pools, as in the published table. Settings of
        `mobile_elastic` scale the resolutions of `ofa_mobile` to the largest, `image_size`.
      image_size: side of the images; by default 32 pixels, 224 for `seminas_mobile`, and that of the row for
        `ofa_mobile`. `nasbench101` and "convnet", whose settings hold it, have none.

    Returns:
      "params" and "macs" -> a function of int[B, L], valid canonical rows: a NumPy array gives exact counts, int64[B];
      a JAX array, traced or not, gives float32[B], rounded.

    Raises:
      ValueError: nothing is known of such networks of the space.
    """
    if not is_known(space, config):
        known = f"those of {', '.join(sorted(SPACES))} are, but for calibrations 'nao_tf' and 'nao_ws_tf_shared'"
        raise ValueError(f"the parameters and multiply-adds of these networks of {space} are not known; {known}")
    settings = (space, config, image_size, num_channels)
    return {name: functools.partial(_cost, settings, at) for at, name in enumerate(NAMES)}


def _cost(settings, at, archs):
    return _column(*settings)(at, archs)


@functools.lru_cache(maxsize=64)
def _column(space, config, image_size, num_channels):
    """Returns the function (0 for parameters or 1 for multiply-adds, archs) -> costs of a space's networks."""
    if space == "nasbench101":
        return cell_costs.of_nasbench101
    if space == "nasbench201":
        made, is_published = config or NETWORKS[space], config is None
        return nasbench_costs.of_nasbench201(made, image_size or 32, num_channels, counts_all=is_published).column
    if space == "convnet":
        return chain_costs.of_convnet(config or convnet.Config()).column
    config = config or NETWORKS[space]
    if isinstance(config, child.Config):
        return cell_costs.of_cells(space, config, image_size or 32, num_channels).column
    if isinstance(config, small_images.Config):
        return small_images_costs.of_small_images(config, image_size or 32, num_channels).column
    if isinstance(config, nasbench_macro.Config):
        return nasbench_costs.of_nasbench_macro(config, image_size or 32, num_channels).column
    if space == "seminas_mobile":
        return chain_costs.of_seminas(config, image_size or 224, num_channels).column
    sizes = np.array(ofa_mobile.RESOLUTIONS)
    if isinstance(config, mobile_elastic.Config):
        sizes = mobile_elastic.sizes(image_size or sizes[-1])
    elif image_size is not None:
        sizes = np.full(len(sizes), image_size)
    return chain_costs.of_ofa(config, sizes, num_channels).column


SPACES = frozenset({"nasbench101", "convnet", *NETWORKS})  # whose costs are known
