"""Chains of inverted residuals: SemiNASNet (arXiv:2002.10389), and networks of Once-for-all (arXiv:1908.09791).

A stem, a first block without expansion, stages of blocks `mbE_kK` (expansion E, kernel K), and a head. The
first block of a stage changes the width and the size of the images; others add their input to their output.
Blocks that a genotype leaves out are not there. Squeeze-and-excitation and hard swish, by stage, are those of
MobileNetV3 (arXiv:1905.02244), which Once-for-all builds on; SemiNAS has neither. The resolution of a genotype
is for whoever makes the images: a chain takes any size.
"""

import dataclasses
import re
from typing import Literal

import chex
import flax.linen as nn
import jax.numpy as jnp

from common.genotypes import genotype
from common.networks import cells, heads, inverted_residual, layers, logits, styles

BLOCK = re.compile(r"mb([1-9][0-9]*)_k([1-9][0-9]*)")
SEMINAS_STYLE = dataclasses.replace(styles.NAO_PYTORCH, epsilon=1e-3)


@dataclasses.dataclass(frozen=True)
class Config:
    """Widths and strides of a chain. The defaults are those of SemiNASNet.

    Attributes:
      widths: channels of each stage.
      strides: of the first block of each stage.
      activations: of each stage, keys of `inverted_residual.ACTIVATIONS`.
      squeezes: of each stage, whether its blocks have squeeze-and-excitation.
      stem_width: channels of the first convolution, 3x3 of stride 2.
      stem_activation: of the first convolution; the first block and the head have those of the first and last stage.
      first_width: channels of the first block.
      first_is_residual: whether the first block adds its input, where widths allow.
      last_width: channels of the pointwise convolution after the stages.
      feature_width: channels of a linear map with an activation after the global pool (MobileNetV3); 0 for none.
      num_classes: how many logits there are.
      dropout_keep: the probability to keep a feature before the classifier.
      drop_path_keep: the probability at the end of training to keep the last block that has a residual; earlier
        ones keep more, in proportion to their place.
      divisor: inner widths are multiples of it.
      style: of layers.
      dtype: of activations, a key of `styles.DTYPES`.
      remat: whether a block's activations are computed again for its gradient.
    """

    widths: tuple[int, ...] = (32, 56, 112, 128, 256, 432)
    strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1)
    activations: tuple[str, ...] = ("relu6",) * 6
    squeezes: tuple[bool, ...] = (False,) * 6
    stem_width: int = 40
    stem_activation: str = "relu6"
    first_width: int = 24
    first_is_residual: bool = False
    last_width: int = 1728
    feature_width: int = 0
    num_classes: int = 1000
    dropout_keep: float = 0.7
    drop_path_keep: float = 1.0
    divisor: int = 1
    style: styles.Style = SEMINAS_STYLE
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False

    def __post_init__(self):
        """Refuses what cannot be built."""
        lengths = {name: len(getattr(self, name)) for name in ("widths", "strides", "activations", "squeezes")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"widths, strides, activations and squeezes must have one item a stage; got {lengths}")
        unknown = {*self.activations, self.stem_activation} - set(inverted_residual.ACTIVATIONS)
        if unknown:
            raise ValueError(
                f"unknown activation {min(unknown)!r}; choose one of {', '.join(inverted_residual.ACTIVATIONS)}"
            )
        for name in ("dropout_keep", "drop_path_keep"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1]; got {getattr(self, name)}")
        if self.dtype not in styles.DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(styles.DTYPES)}; got {self.dtype!r}")


class Network(nn.Module):
    """A chain of inverted residuals.

    Attributes:
      genotype: the blocks of each stage.
      config: see `Config`.
    """

    genotype: genotype.ChainGenotype
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits.

        Args:
          images: float32[B, H, W, C].
          train: whether it trains: batch statistics, dropped blocks and features (random streams "drop_path"
            and "dropout").
          progress: float32[] in [0, 1], the fraction of training done, on which the dropping of blocks depends.
        """
        config = self.config
        style = dataclasses.replace(config.style, dtype=config.dtype)
        blocks = self._blocks(style)
        scales = self._drop_path_scales(images.shape[0], len(blocks), progress) if train else None
        stem = layers.Convolution(config.stem_width, (3, 3), style, strides=(2, 2), name="stem")(images)
        state = inverted_residual.ACTIVATIONS[config.stem_activation](layers.Norm(style, name="stem_norm")(stem, train))
        for at, block in enumerate(blocks):
            state = block(state, None if scales is None else scales[at, 0], train)
        state = layers.Convolution(config.last_width, (1, 1), style, name="last")(state)
        last = inverted_residual.ACTIVATIONS[config.activations[-1]]
        state = last(layers.Norm(style, name="last_norm")(state, train))
        if config.feature_width:
            means = jnp.mean(state.astype(jnp.float32), axis=(1, 2))
            features = layers.Linear(config.feature_width, style, has_bias=False, name="features")(means)
            state = last(features)[:, None, None]
        classifier = heads.Classifier(config.num_classes, style, dropout_keep=config.dropout_keep, name="classifier")
        return logits.Logits(main=classifier(state, train), auxiliary=None)

    def _blocks(self, style):
        """Returns the modules of all blocks, the first one without expansion."""
        config = self.config
        if len(self.genotype.stages) != len(config.widths):
            raise ValueError(f"the genotype has {len(self.genotype.stages)} stages, the widths {len(config.widths)}")
        block_type = inverted_residual.Block
        if config.remat:
            block_type = nn.remat(block_type, static_argnums=(3,))
        found = [
            block_type(
                config.first_width,
                1,
                3,
                1,
                config.activations[0],
                style,
                has_residual=config.first_is_residual,
                name="first",
            )
        ]
        for stage, blocks in enumerate(self.genotype.stages):
            for at, text in enumerate(blocks):
                match = BLOCK.fullmatch(text)
                if match is None:
                    raise ValueError(f"stage {stage}, block {at}: {text!r} is no block such as 'mb6_k5'")
                expansion, size = map(int, match.groups())
                found.append(
                    block_type(
                        config.widths[stage],
                        expansion,
                        size,
                        config.strides[stage] if at == 0 else 1,
                        config.activations[stage],
                        style,
                        has_squeeze=config.squeezes[stage],
                        divisor=config.divisor,
                        name=f"stage_{stage}_block_{at}",
                    )
                )
        return found

    def _drop_path_scales(self, batch_size, num_blocks, progress):
        """Returns float32[blocks, 1, B], or None where nothing is dropped."""
        if self.config.drop_path_keep == 1.0:
            return None
        keep = cells.keep_probabilities(
            num_blocks,
            self.config.drop_path_keep,
            by_depth=True,
            progress=jnp.asarray(progress, jnp.float32),
        )
        return cells.drop_path_scales(self.make_rng("drop_path"), keep, num_branches=1, batch_size=batch_size)


PRESETS: dict[str, Config] = {
    "seminas": Config(),  # SemiNASNet as it is trained at last
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
