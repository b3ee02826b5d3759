"""Chains of inverted residuals: SemiNASNet (arXiv:2002.10389) and Once-for-all (arXiv:1908.09791).

A stem, a first block without expansion, stages of blocks `mbE_kK` (expansion E, kernel K), and a head. The first block
of a stage changes width and image size; the others are residual. Squeeze-and-excitation and hard swish, by stage, are
those of MobileNetV3 (arXiv:1905.02244), on which Once-for-all builds. A chain takes images of any size; the resolution
of a genotype is up to the caller.
"""

import dataclasses
import re
from typing import Annotated, Any, Literal

import chex
import flax.linen as nn
import jax.numpy as jnp

from common import config as configs
from common.config import Range
from common.genotypes import genotype
from common.networks import cells, heads, inverted_residual, layers, logits, styles

BLOCK = re.compile(r"mb([1-9][0-9]*)_k([1-9][0-9]*)")
SEMINAS_STYLE = dataclasses.replace(styles.NAO_PYTORCH, epsilon=1e-3)
Activation = Literal[tuple(inverted_residual.ACTIVATIONS)]


@configs.dataclass
class Config:
    """Chain of inverted residuals; the defaults are those of SemiNASNet."""

    widths: Annotated[tuple[int, ...], "channels of each stage", Range(at_least=1)] = (32, 56, 112, 128, 256, 432)
    strides: Annotated[tuple[int, ...], "stride of each stage's first block", Range(at_least=1)] = (2, 2, 2, 1, 2, 1)
    activations: Annotated[tuple[Activation, ...], "activation of each stage"] = ("relu6",) * 6
    squeezes: Annotated[tuple[bool, ...], "whether each stage's blocks have squeeze-and-excitation"] = (False,) * 6
    stem_width: Annotated[int, "channels of the first convolution, 3x3 of stride 2", Range(at_least=1)] = 40
    stem_activation: Annotated[
        Activation, "activation of the first convolution; first block and head have those of the first and last stage"
    ] = "relu6"
    first_width: Annotated[int, "channels of the first block", Range(at_least=1)] = 24
    first_is_residual: Annotated[bool, "whether the first block adds its input, where widths allow"] = False
    last_width: Annotated[int, "channels of the pointwise convolution after the stages", Range(at_least=1)] = 1728
    feature_width: Annotated[
        int,
        "channels of a linear layer with activation after the global pool (MobileNetV3); 0: none",
        Range(at_least=0),
    ] = 0
    num_classes: Annotated[int, "number of logits", Range(at_least=1)] = 1000
    dropout_keep: Annotated[float, "probability to keep a feature of the classifier", Range(above=0, at_most=1)] = 0.7
    drop_path_keep: Annotated[
        float,
        "probability to keep the last residual block at the end of training; earlier ones keep more, linearly",
        Range(above=0, at_most=1),
    ] = 1.0
    divisor: Annotated[int, "inner widths are multiples of it", Range(at_least=1)] = 1
    style: Annotated[styles.Style, "family of layers"] = SEMINAS_STYLE
    dtype: styles.Dtype = "float32"
    remat: Annotated[bool, "whether to recompute a block's activations in the backward pass"] = False

    def __post_init__(self):
        lengths = {name: len(getattr(self, name)) for name in ("widths", "strides", "activations", "squeezes")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"widths, strides, activations and squeezes must have one item per stage; got {lengths}")


class Network(nn.Module):
    """A chain of inverted residuals."""

    genotype: genotype.ChainGenotype  # the blocks of each stage
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits; the arguments are those of `child.Network`."""
        config = self.config
        if len(self.genotype.stages) != len(config.widths):
            raise ValueError(f"the genotype has {len(self.genotype.stages)} stages, the widths {len(config.widths)}")
        style = dataclasses.replace(config.style, dtype=config.dtype)
        modules = [first_block(config, style)]
        for stage, names in enumerate(self.genotype.stages):
            for at, text in enumerate(names):
                match = BLOCK.fullmatch(text)
                if match is None:
                    raise ValueError(f"stage {stage}, block {at}: {text!r} is not a block such as 'mb6_k5'")
                modules.append(block(config, style, stage, at, *map(int, match.groups())))
        scales = drop_path(self, progress, len(modules), images.shape[0]) if train else None
        state = stem(config, style, images, train)
        for at, module in enumerate(modules):
            state = module(state, None if scales is None else scales[at], train)
        return head(config, style, state, train)


def stem(
    config: Config, style: styles.Style, images: chex.Array, train: bool, mask: chex.Array | None = None
) -> chex.Array:
    """Returns the images after the first convolution, for use inside a network; `mask` is that of its outputs."""
    state = layers.Convolution(config.stem_width, (3, 3), style, strides=(2, 2), name="stem")(images)
    return inverted_residual.ACTIVATIONS[config.stem_activation](
        layers.Norm(style, name="stem_norm")(state, train, mask)
    )


def first_block(config: Config, style: styles.Style) -> inverted_residual.Block:
    """Returns the block before the stages, without expansion, for use inside a network."""
    settings = {"has_residual": config.first_is_residual, "name": "first"}
    return _type(config)(config.first_width, 1, 3, 1, config.activations[0], style, **settings)


def block(
    config: Config, style: styles.Style, stage: int, at: int, expansion: int, size: int, **settings: Any
) -> inverted_residual.Block:
    """Returns block `at` of a stage; `settings` are its name and its parent module, by default the calling network."""
    return _type(config)(
        config.widths[stage],
        expansion,
        size,
        config.strides[stage] if at == 0 else 1,
        config.activations[stage],
        style,
        has_squeeze=config.squeezes[stage],
        divisor=config.divisor,
        **{"name": f"stage_{stage}_block_{at}", **settings},
    )


def head(
    config: Config,
    style: styles.Style,
    state: chex.Array,
    train: bool,
    mask: chex.Array | None = None,
    drops: chex.Array | bool = True,
) -> logits.Logits:
    """Returns the logits of the images after the last block, for use inside a network.

    Args:
      state: float[B, H, W, C].
      train: whether in training mode.
      mask: see `layers.Norm`.
      drops: bool[], whether dropout acts in training; True: always, without a second classifier in the program.
    """
    state = layers.Convolution(config.last_width, (1, 1), style, name="last")(state)
    activation = inverted_residual.ACTIVATIONS[config.activations[-1]]
    state = activation(layers.Norm(style, name="last_norm")(state, train, mask))
    means = layers.mean_of_pixels(state.astype(jnp.float32), (1, 2), mask)
    if config.feature_width:
        features = layers.Linear(config.feature_width, style, has_bias=False, name="features")(means)
        means = activation(features)
    classifier = heads.Classifier(config.num_classes, style, dropout_keep=config.dropout_keep, name="classifier")
    found = classifier(means[:, None, None], train)
    if drops is not True and train:
        found = jnp.where(drops, found, classifier(means[:, None, None], False))
    return logits.Logits(main=found, auxiliary=None)


def drop_path(module: nn.Module, progress: chex.Numeric, num_blocks: int, batch_size: int) -> chex.Array | None:
    """Returns float32[num_blocks, B], the factors of the blocks before their input is added, or None if all are one."""
    scales = cells.drop_path(module, module.config.drop_path_keep, progress, (num_blocks, 1, batch_size))
    return None if scales is None else scales[:, 0]


def scaled(config: Config, width: int) -> Config:
    """Returns the settings of a network whose first stage has `width` channels, and the others in proportion."""
    factor = width / config.widths[0]
    sizes = {
        name: round(factor * getattr(config, name))
        for name in ("stem_width", "first_width", "last_width", "feature_width")
    }
    return dataclasses.replace(config, widths=tuple(max(1, round(factor * one)) for one in config.widths), **sizes)


def _type(config):
    block_type = inverted_residual.Block
    return nn.remat(block_type, static_argnums=(3,)) if config.remat else block_type


PRESETS: dict[str, Config] = {
    "seminas": Config(),  # SemiNASNet, final training
    "seminas_search": Config(
        widths=(24, 40, 80, 96, 192, 320), stem_width=32, first_width=16, last_width=1280, dropout_keep=1.0
    ),  # the widths of the supernet
    "once_for_all": Config(
        widths=(24, 40, 80, 112, 160),
        strides=(2, 2, 2, 1, 2),
        activations=("relu", "relu", "hard_swish", "hard_swish", "hard_swish"),
        squeezes=(False, True, False, True, True),
        stem_width=16,
        stem_activation="hard_swish",
        first_width=16,
        first_is_residual=True,
        last_width=960,
        feature_width=1280,
        dropout_keep=0.9,
        divisor=8,
        style=dataclasses.replace(styles.NAO_PYTORCH, epsilon=1e-5),
    ),  # MobileNetV3-Large of Once-for-all at width 1.0
}
PRESETS["once_for_all_1.2"] = dataclasses.replace(
    PRESETS["once_for_all"],
    widths=(32, 48, 96, 136, 192),
    stem_width=24,
    first_width=24,
    last_width=1152,
    feature_width=1536,
)  # all widths times 1.2, as multiples of 8
PRESETS["once_for_all_cifar"] = dataclasses.replace(
    PRESETS["once_for_all"],
    widths=(8, 16, 24, 32, 48),
    strides=(1, 2, 2, 1, 2),
    stem_width=8,
    first_width=8,
    last_width=192,
    feature_width=384,
    num_classes=10,
    dropout_keep=1.0,
)  # ours, for images of 32x32 pixels
