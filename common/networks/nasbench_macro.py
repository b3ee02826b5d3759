"""Networks of NAS-Bench-Macro (arXiv:2103.11922, section 5), built for one architecture.

A 3x3 convolution with norm and ReLU, eight layers in stages of 2, 3 and 3, a 1x1 convolution with norm and ReLU, global
average pool and a linear layer. A layer is the identity or an inverted residual of expansion 3 and kernel 3 or of
expansion 6 and kernel 5. The first layer of a stage has stride 2 and doubles the width; as "identity" it is a strided
1x1 convolution with a norm. As in the released program.
"""

import re
from typing import Annotated

import chex
import flax.linen as nn
import jax

from common import config as configs
from common.config import Range
from common.genotypes import genotype
from common.networks import heads, inverted_residual, layers, logits, nasbench201, styles
from common.spaces import nasbench_macro as space

STAGES = (2, 3, 3)
_BLOCK = re.compile(r"mb([0-9]+)_k([0-9]+)")


@configs.dataclass
class Config:
    """Network of NAS-Bench-Macro; the defaults are those of the published table."""

    width: Annotated[int, "channels of the first convolution, doubled by each stage", Range(at_least=1)] = 32
    last_width: Annotated[int, "channels of the last convolution", Range(at_least=1)] = 1280
    num_classes: Annotated[int, "number of logits", Range(at_least=1)] = 10
    style: Annotated[styles.Style, "family of layers"] = nasbench201.STYLE


class Network(nn.Module):
    """The network of one architecture."""

    genotype: genotype.ChainGenotype
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits; the arguments are those of `child.Network`."""
        config, at = self.config, 0
        state = stem(config, config.style, images, train)
        for stage, choices in enumerate(self.genotype.stages):
            for block, choice in enumerate(choices):
                configs.one_of("block", choice, space.CHOICES)
                features, stride = config.width * 2 ** (stage + 1), 1 if block else 2
                state = Layer(choice, features, stride, config.style, name=f"layer_{at}")(state, train)
                at += 1
        return head(config, config.style, state, train)


class Layer(nn.Module):
    """A layer, one of `spaces.nasbench_macro.CHOICES`."""

    choice: str
    features: int
    stride: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns float[B, ceil(H / stride), ceil(W / stride), features]."""
        if match := _BLOCK.fullmatch(self.choice):
            sizes = self.features, *map(int, match.groups()), self.stride
            return inverted_residual.Block(*sizes, "relu", self.style, name="block")(images, None, train)
        if self.stride == 1:
            return images
        strides = (self.stride,) * 2
        images = layers.Convolution(self.features, (1, 1), self.style, strides=strides, name="projection")(images)
        return layers.Norm(self.style, name="norm")(images, train)


def stem(config: Config, style: styles.Style, images: chex.Array, train: bool) -> chex.Array:
    """Returns the images after the first convolution, for use inside a network."""
    state = layers.Convolution(config.width, (3, 3), style, name="stem")(images)
    return jax.nn.relu(layers.Norm(style, name="stem_norm")(state, train))


def head(config: Config, style: styles.Style, state: chex.Array, train: bool) -> logits.Logits:
    """Returns the logits of the images after the last layer, for use inside a network."""
    state = layers.Convolution(config.last_width, (1, 1), style, name="last")(state)
    state = jax.nn.relu(layers.Norm(style, name="last_norm")(state, train))
    found = heads.Classifier(config.num_classes, style, name="classifier")(state, train)
    return logits.Logits(main=found, auxiliary=None)
