"""Networks of the space `small_images`, built for one architecture.

A stage is a 3x3 convolution, norm and ReLU, of stride 2 but in the first stage, and blocks that keep width and size:

  plain     convolution, norm, ReLU, convolution, norm, ReLU
  residual  the same with the input added before the last ReLU (ResNet, arXiv:1512.03385)
  inverted  1x1 expansion, depthwise and 1x1 projection, each with a norm, the first two with a ReLU, and the input
            added (MobileNetV2, arXiv:1801.04381)

Squeeze-and-excitation (arXiv:1709.01507) scales the channels after the last norm of a block, as in SE-ResNet. Global
average pool and a linear layer follow. The first convolution has stride 1 for images of up to 24 pixels, 2 up to 48
and, with a kernel of 7, 4 for larger ones, so that the stages see maps of at most 24, 12 and 6 pixels.
"""

import re
from typing import Annotated

import chex
import flax.linen as nn
import jax

from common import config as configs
from common.config import Range
from common.genotypes import genotype
from common.networks import heads, inverted_residual, layers, logits, styles

BLOCK = re.compile(r"(plain|residual|inverted)(?:_k([0-9]+)_e([0-9]+))?(_se)?")
CONVOLUTION = re.compile(r"conv_x([0-9]+)")
MAX_SIDE = 24  # of the maps of the first stage


@configs.dataclass
class Config:
    """Small network for small images."""

    width: Annotated[
        int, "channels of the first stage at width 1, even; doubled in each further stage", Range(at_least=2)
    ] = 16
    stem_stride: Annotated[
        int | None, "stride of the first convolution; None: 1, 2 or 4 by the size of the images", Range(at_least=1)
    ] = None
    num_classes: Annotated[int, "number of logits", Range(at_least=1)] = 10
    style: Annotated[styles.Style, "family of layers"] = styles.NAO_PYTORCH

    def __post_init__(self):
        if self.width % 2:
            raise ValueError(f"width must be even, as a stage can have half of it; got {self.width}")


def stem(config: Config, side: int) -> tuple[int, int]:
    """Returns kernel and stride of the first convolution for images of `side` pixels."""
    stride = config.stem_stride or (1 if side <= MAX_SIDE else 2 if side <= 2 * MAX_SIDE else 4)
    return max(3, 2 * stride - 1), stride


def width(config: Config, stage: int, halves: int) -> int:
    """Returns the channels of a stage, whose `halves` are a choice of `spaces.small_images.WIDTHS`."""
    return config.width * 2**stage * halves // 2


class Network(nn.Module):
    """The network of one architecture."""

    genotype: genotype.ChainGenotype  # see `spaces.small_images.to_stages`
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits; the arguments are those of `child.Network`."""
        config, style = self.config, self.config.style
        kernel, stride = stem(config, images.shape[1])
        state = images
        for stage, (first, *blocks) in enumerate(self.genotype.stages):
            channels = width(config, stage, int(_parts(CONVOLUTION, first)[0]))
            sizes = {"strides": (stride, stride), "name": f"stage_{stage}_convolution"}
            state = layers.Convolution(channels, (kernel, kernel), style, **sizes)(state)
            state = jax.nn.relu(layers.Norm(style, name=f"stage_{stage}_norm")(state, train))
            for at, block in enumerate(blocks):
                kind, size, expansion, squeeze = _parts(BLOCK, block)
                name = f"stage_{stage}_block_{at}"
                if kind == "inverted":
                    sizes = {"size": int(size), "expansion": int(expansion)}
                    state = Inverted(style, has_squeeze=bool(squeeze), **sizes, name=name)(state, train)
                else:
                    is_residual = kind == "residual"
                    state = Convolutions(style, is_residual, has_squeeze=bool(squeeze), name=name)(state, train)
            kernel, stride = 3, 2
        return logits.Logits(
            main=heads.Classifier(config.num_classes, style, name="classifier")(state, train), auxiliary=None
        )


def _parts(pattern, name):
    """Returns the groups of the name of a block."""
    if (found := pattern.fullmatch(name)) is None:
        raise ValueError(f"{name!r} is not a block of small_images; choose a preset for other chains of blocks")
    return found.groups()


class Convolutions(nn.Module):
    """Plain or residual block."""

    style: styles.Style
    is_residual: bool
    has_squeeze: bool = False

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns images of the same shape."""
        state, channels = images, images.shape[-1]
        for at in range(2):
            state = jax.nn.relu(state) if at else state
            state = layers.Convolution(channels, (3, 3), self.style, name=f"convolution_{at}")(state)
            state = layers.Norm(self.style, name=f"norm_{at}")(state, train)
        if self.has_squeeze:
            state = inverted_residual.SqueezeExcitation(1, self.style, name="squeeze")(state)
        return jax.nn.relu(state + images if self.is_residual else state)


class Inverted(nn.Module):
    """Inverted residual block, squeeze-and-excitation last."""

    style: styles.Style
    size: int
    expansion: int
    has_squeeze: bool = False

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns images of the same shape."""
        settings = {"expansion": self.expansion, "size": self.size, "stride": 1, "activation": "relu"}
        block = inverted_residual.Block(
            images.shape[-1], style=self.style, has_residual=False, **settings, name="block"
        )
        state = block(images, None, train)
        if self.has_squeeze:
            state = inverted_residual.SqueezeExcitation(1, self.style, name="squeeze")(state)
        return state + images
