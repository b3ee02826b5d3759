"""Networks of NAS-Bench-201 (arXiv:2001.00326, section 2), built for one cell.

A 3x3 convolution with a norm, three stages of cells with a residual block of stride 2 before the second and the third,
which doubles the width, then norm, ReLU, global average pool and a linear layer. An edge of a cell is "none", a skip, a
1x1 or 3x3 convolution (ReLU, convolution, norm) or a 3x3 average pool; a state is the sum of its edges. Edges without a
path to the output are computed too: they have parameters, which the published table counts.
"""

import dataclasses
from typing import Annotated

import chex
import flax.linen as nn
import jax

from common import config as configs
from common.config import Range
from common.genotypes import genotype
from common.networks import heads, layers, logits, operations, styles
from common.spaces import nasbench201 as space

STYLE = dataclasses.replace(styles.NAO_PYTORCH, initializer="torch_uniform")


@configs.dataclass
class Config:
    """Network of NAS-Bench-201; the defaults are those of the published table."""

    num_cells: Annotated[
        int, "cells in all, the two residual blocks included: 3 n + 2 for n cells a stage", Range(at_least=5)
    ] = 17
    width: Annotated[int, "channels of the first stage, doubled in each further one", Range(at_least=1)] = 16
    num_classes: Annotated[int, "number of logits", Range(at_least=1)] = 10
    style: Annotated[styles.Style, "family of layers"] = STYLE

    @property
    def reductions(self) -> tuple[int, int]:
        """Places of the residual blocks among the cells."""
        return self.num_cells // 3, 2 * self.num_cells // 3

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of cells of each stage."""
        first, second = self.reductions
        return first, second - first - 1, self.num_cells - second - 1


class Network(nn.Module):
    """The network of one architecture."""

    genotype: genotype.EdgeGenotype
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits; the arguments are those of `child.Network`."""
        config = self.config
        state = stem(config, config.style, images, train)
        for stage, depth in enumerate(config.depths):
            width = config.width * 2**stage
            if stage:
                state = Residual(width, config.style, name=f"residual_{stage}")(state, train)
            for at in range(depth):
                state = Cell(self.genotype, width, config.style, name=f"stage_{stage}_cell_{at}")(state, train)
        return head(config, config.style, state, train)


class Cell(nn.Module):
    """A cell: every state but the first is the sum of its edges, and the last one is the output."""

    genotype: genotype.EdgeGenotype
    features: int  # its width
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns images of the same shape."""
        states = [images]
        for target in range(1, self.genotype.num_states):
            sums = [
                operation(name, self.features, self.style, name=edge_name(source, target))(states[source], train)
                for source, end, name in self.genotype.edges
                if end == target
            ]
            if not sums:
                raise ValueError(f"state {target} of the cell has no edge; give it one, such as a 'none' of state 0")
            states.append(sum(sums[1:], start=sums[0]))
        return states[-1]


class Residual(nn.Module):
    """Residual block of stride 2: two 3x3 convolutions, beside an average pool of 2x2 and a 1x1 convolution."""

    features: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns float[B, ceil(H / 2), ceil(W / 2), features]."""
        state = layers.ReluConvolution(self.features, (3, 3), self.style, strides=(2, 2), name="first")(images, train)
        state = layers.ReluConvolution(self.features, (3, 3), self.style, name="second")(state, train)
        odd = [(0, side % 2) for side in images.shape[1:3]]
        pooled = layers.average_pool(images, 2, 2, odd)
        return state + layers.Convolution(self.features, (1, 1), self.style, name="shortcut")(pooled)


def operation(label: str, features: int, style: styles.Style, **settings) -> nn.Module:
    """Returns the module of an operation of `spaces.nasbench201.OPERATIONS`; its call is that of `operations`."""
    configs.one_of("operation", label, space.OPERATIONS)
    return operations.OPERATIONS[label.removeprefix("nor_")](features=features, stride=1, style=style, **settings)


def edge_name(source: int, target: int) -> str:
    """Returns the name of an edge's parameters in its cell."""
    return f"edge_{source}_{target}"


def stem(config: Config, style: styles.Style, images: chex.Array, train: bool) -> chex.Array:
    """Returns the images after the first convolution, for use inside a network."""
    state = layers.Convolution(config.width, (3, 3), style, name="stem")(images)
    return layers.Norm(style, name="stem_norm")(state, train)


def head(config: Config, style: styles.Style, state: chex.Array, train: bool) -> logits.Logits:
    """Returns the logits of the last images, for use inside a network."""
    state = jax.nn.relu(layers.Norm(style, name="last_norm")(state, train))
    found = heads.Classifier(config.num_classes, style, name="classifier")(state, train)
    return logits.Logits(main=found, auxiliary=None)
