"""Networks of the space `small_images` on a page: words, layers, costs and decisions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common.drawing import lettering
from common.networks import costs, small_images
from common.spaces import small_images as space

_FACTORS = ("½", "1", "2")  # of widths
_NAMES = ("kind of blocks", "number of blocks", "width", "kernel", "expansion", "squeeze-and-excitation")
_CHOICES = (
    space.KINDS,
    tuple(map(str, range(1 + space.MAX_DEPTH))),
    tuple(lettering.TIMES + factor for factor in _FACTORS),
    tuple(f"{size}{lettering.TIMES}{size}" for size in space.KERNELS),
    tuple(f"{lettering.TIMES}{factor}" for factor in space.EXPANSIONS),
    ("without", "with"),
)
DECISIONS = tuple(f"stage {stage}: {name}" for stage in range(1, 1 + space.NUM_STAGES) for name in _NAMES)
CHOICES = _CHOICES * space.NUM_STAGES
WORDS = (
    f"64 + 2 inverted (3{lettering.TIMES}3, {lettering.TIMES}2, SE): a convolution with 64 channels, then two "
    f"inverted residual blocks with a kernel of 3{lettering.TIMES}3, twice the channels inside and "
    "squeeze-and-excitation. Plain and residual blocks have two convolutions; residual ones add their input."
)


class Sizes(NamedTuple):
    """What channels and costs depend on, beside the row."""

    network: small_images.Config
    side: int  # of the images
    num_channels: int

    def costs(self, archs: np.ndarray) -> dict[str, np.ndarray]:
        """Returns "params" and "macs", int64[B] each, of int32[B, 18]."""
        found = costs.of_space("small_images", self.network, image_size=self.side, num_channels=self.num_channels)
        return {name: cost(archs) for name, cost in found.items()}


def sizes_of(config: Mapping[str, Any]) -> Sizes | None:
    """Returns the sizes of a config.json; None in one of an older version."""
    if "image_shape" not in config:
        return None
    side, _, num_channels = config["image_shape"]
    return Sizes(small_images.Config(width=config["width"], num_classes=config["classes"]), side, num_channels)


def words(arch: Sequence[int], sizes: Sizes | None) -> list[str]:
    """Returns a text for each stage of a row."""
    found = []
    for at, stage in enumerate(_stages(arch)):
        width = f"width {lettering.TIMES}{_FACTORS[stage.width]}"
        if sizes is not None:
            width = f"{small_images.width(sizes.network, at, space.WIDTHS[stage.width])}"
        found.append(f"{width} + {_blocks(stage)}" if stage.depth else width)
    return found


def layers(arch: Sequence[int], sizes: Sizes) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (header, rows) of the table of the layers of a row."""
    rows, side = [], sizes.side
    kernel, stride = small_images.stem(sizes.network, side)
    for at, stage in enumerate(_stages(arch)):
        side = -(-side // stride)
        channels = small_images.width(sizes.network, at, space.WIDTHS[stage.width])
        first = f"{kernel}{lettering.TIMES}{kernel}" + (f", stride {stride}" if stride > 1 else "")
        output = f"{side}{lettering.TIMES}{side} pixels, {channels} channels"
        rows.append((f"stage {at + 1}", output, first, _blocks(stage) if stage.depth else "none"))
        kernel, stride = 3, 2
    rows.append(("classifier", f"{sizes.network.num_classes} classes", "", "mean over all pixels, linear layer"))
    return ("part", "output", "convolution", "blocks"), rows


def is_active(archs: np.ndarray) -> np.ndarray:
    """Returns bool[B, 18]: whether a decision has an effect."""
    stages = space.decoded(archs)
    has_blocks = stages.depth > 0
    is_inverted, always = has_blocks & (stages.kind == space.INVERTED), np.ones_like(has_blocks)
    can_squeeze = has_blocks & (stages.kind != space.PLAIN)
    active = (has_blocks, always, always, is_inverted, is_inverted, can_squeeze)
    return np.stack(active, axis=-1).reshape(archs.shape)


def _stages(arch):
    return [space.Stages(*row) for row in np.reshape(arch, (space.NUM_STAGES, -1)).tolist()]


def _blocks(stage):
    kind, details = lettering.block(space.stage_names(stage)[1])
    default = f"3{lettering.TIMES}3"
    inner = details if kind == "inverted" else details.removeprefix(default).removeprefix(", ")
    return f"{stage.depth} {kind}" + (f" ({inner})" if inner else "")
