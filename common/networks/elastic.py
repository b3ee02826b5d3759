"""Spaces with shared weights that are not cells: elastic ones, and those of NAS-Bench-201 and NAS-Bench-Macro.

Elastic weights are those of the largest network, of which smaller networks use parts.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex

from common.networks import (
    convnet,
    convnet_elastic,
    mobile,
    mobile_elastic,
    mobile_extraction,
    nasbench201,
    nasbench201_shared,
    nasbench_macro,
    nasbench_macro_shared,
    small_images,
    small_images_elastic,
    small_images_extraction,
)
from common.spaces import convnet as convnet_space
from common.spaces import ofa_mobile
from common.spaces import small_images as small_images_space


class Family(NamedTuple):
    """Networks of a space.

    Attributes:
      config: type of their settings.
      network: (space, config) -> Linen module that takes images and an architecture.
      extremes: valid rows int32[2, L] -> int32[2, L], a largest network like the first, a smallest like the second.
      extract: (variables, config, arch) -> (network of the architecture, its variables); None: there is none.
      default: settings; None: those of the type.
      stand_alone: settings -> those of the network of one architecture.
      phases: for each decision, the phase of progressive shrinking from which on it is smaller than the largest; () for
        spaces without.
    """

    config: Any
    network: Callable[[str, Any], Any]
    extremes: Callable[[chex.Array], chex.Array]
    extract: Callable[..., tuple[Any, Any]] | None = None
    default: Any = None
    stand_alone: Callable[[Any], Any] = lambda config: config
    phases: tuple[int, ...] = ()


FAMILIES: dict[str, Family] = {
    "convnet": Family(convnet.Config, convnet_elastic.Network, convnet_space.extremes),
    "small_images": Family(
        small_images.Config, small_images_elastic.Network, small_images_space.extremes, small_images_extraction.extract
    ),
    "nasbench201": Family(
        nasbench201.Config, nasbench201_shared.Network, nasbench201_shared.extremes, nasbench201_shared.extract
    ),
    "nasbench_macro": Family(
        nasbench_macro.Config,
        nasbench_macro_shared.Network,
        nasbench_macro_shared.extremes,
        nasbench_macro_shared.extract,
    ),
    "ofa_mobile": Family(
        mobile_elastic.Config,
        mobile_elastic.Network,
        ofa_mobile.extremes,
        mobile_extraction.extract,
        mobile_elastic.elastic(mobile.PRESETS["once_for_all"]),
        mobile_elastic.Config.stand_alone,
        ofa_mobile.SHRINKING,
    ),
}
