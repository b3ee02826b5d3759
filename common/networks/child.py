"""Child networks: a cell genotype stacked to an image classifier, trained from scratch.

NAO and LaNAS stack cells in the same way: a stem, `num_cells` cells of which those at num_cells // 3 and
2 num_cells // 3 are reductions that double the width, and a classifier. `PRESETS` holds the settings of the released
programs; change them with `dataclasses.replace`. The genotype is static: only its own operations are compiled.
"""

import dataclasses
from typing import Annotated, Literal

import chex
import flax.linen as nn

from common import config as configs
from common.config import Range
from common.genotypes import genotype
from common.networks import cells, heads, logits, styles


def num_cells(cells_per_stage: int) -> int:
    """Returns the number of cells of three stages of `cells_per_stage` normal cells with a reduction between them."""
    return 3 * cells_per_stage + 2


@configs.dataclass
class Config:
    """Network of cells."""

    num_cells: Annotated[int, "cells in all, the two reductions included", Range(at_least=1)] = 20
    width: Annotated[int, "channels of an operation in the first cell", Range(at_least=1)] = 36
    num_classes: Annotated[int, "number of logits", Range(at_least=1)] = 10
    style: Annotated[styles.Style, "family of layers, see `common.networks.styles`"] = styles.NAO_PYTORCH
    stem: Annotated[Literal[tuple(heads.STEMS)], "cifar (keeps the size of images), imagenet (divides it by 8)"] = (
        "cifar"
    )
    stem_multiplier: Annotated[int, "channels of the CIFAR stem, as a multiple of the width"] = 3
    has_final_relu: Annotated[bool, "whether a ReLU precedes the last pool"] = False
    has_bias: Annotated[bool, "whether linear layers have a bias"] = True
    auxiliary: Annotated[bool, "whether training has an auxiliary head; its input needs at least 8x8 pixels"] = True
    auxiliary_place: Annotated[
        Literal["reduction", "after_reduction"], "cell whose output the auxiliary head reads: second reduction or next"
    ] = "reduction"
    auxiliary_is_padded: Annotated[bool, "whether the auxiliary head's last convolution is padded"] = False
    drop_path_keep: Annotated[
        float, "probability to keep a branch at the end of training; 1: drop none", Range(above=0, at_most=1)
    ] = 1.0
    drop_path_by_depth: Annotated[bool, "whether earlier cells keep more branches"] = True
    dropout_keep: Annotated[float, "probability to keep a feature of the classifier", Range(above=0, at_most=1)] = 1.0
    output: Annotated[
        Literal["concatenated", "projected"],
        "output of a cell: concatenated states, or projected to its width (ReLU, 1x1, norm: NAO's shared weights)",
    ] = "concatenated"
    dtype: styles.Dtype = "float32"
    remat: Annotated[bool, "whether to recompute activations in the backward pass, which saves memory"] = False

    @property
    def reductions(self) -> tuple[int, ...]:
        """Indices of the reduction cells."""
        return tuple(sorted({self.num_cells // 3, 2 * self.num_cells // 3}))

    @property
    def stem_width(self) -> int:
        """Channels of the states that the first cell reads."""
        return self.width if self.stem == "imagenet" else self.stem_multiplier * self.width

    @property
    def auxiliary_cell(self) -> int:
        """Index of the cell whose output the auxiliary head reads."""
        after = self.auxiliary_place == "after_reduction"
        return min(self.reductions[-1] + after, self.num_cells - 1)


class Network(nn.Module):
    """A network of cells."""

    genotype: genotype.CellGenotype  # normal and reduction cell
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits.

        Args:
          images: float32[B, H, W, C].
          train: whether to use batch statistics, drop path and dropout (random streams "drop_path" and "dropout") and
            the auxiliary head.
          progress: float32[] in [0, 1], the fraction of training done, for the drop-path ramp.
        """
        config = self.config
        style = dataclasses.replace(config.style, dtype=config.dtype)
        states = heads.STEMS[config.stem](config.stem_width, style, name="stem")(images, train)
        num_branches = max(sum(map(len, cell.nodes)) for cell in (self.genotype.normal, self.genotype.reduction))
        scales = None
        if train:
            shape = (config.num_cells, num_branches, images.shape[0])
            scales = cells.drop_path(self, config.drop_path_keep, progress, shape, by_depth=config.drop_path_by_depth)
        cell_type = nn.remat(cells.Cell, static_argnums=(4,)) if config.remat else cells.Cell
        width, auxiliary = config.width, None
        for at in range(config.num_cells):
            is_reduction = at in config.reductions
            width *= 2 if is_reduction else 1
            genotype = self.genotype.reduction if is_reduction else self.genotype.normal
            is_strided = is_reduction and not cells.is_halved_first(style)
            if is_reduction and not is_strided:
                states = cells.halved_inputs(states[1], width, style, name=f"halved_{at}", train=train)
            kind = {"is_reduction": is_strided, "is_first": at == 0, "is_projected": config.output == "projected"}
            cell = cell_type(genotype, width, style, **kind, name=f"cell_{at}")
            states = states[1], cell(*states, None if scales is None else scales[at], train)
            if at == config.auxiliary_cell and config.auxiliary and (train or self.is_initializing()):
                auxiliary = auxiliary_head(config, style)(states[1], train)
        return logits.Logits(main=classifier(config, style)(states[1], train), auxiliary=auxiliary)


def auxiliary_head(config: Config, style: styles.Style) -> heads.Auxiliary:
    """Returns the auxiliary head, for use inside a network."""
    settings = {"is_padded": config.auxiliary_is_padded, "has_bias": config.has_bias, "name": "auxiliary"}
    return heads.Auxiliary(config.num_classes, style, stride=2 if config.stem == "imagenet" else 3, **settings)


def classifier(config: Config, style: styles.Style) -> heads.Classifier:
    """Returns the classifier, for use inside a network."""
    settings = {"has_relu": config.has_final_relu, "has_bias": config.has_bias, "dropout_keep": config.dropout_keep}
    return heads.Classifier(config.num_classes, style, **settings, name="classifier")


_NAO_PYTORCH = Config(drop_path_keep=0.8, dropout_keep=0.6)
_NAO_TF = Config(
    width=128,
    style=styles.NAO_TF,
    has_final_relu=True,
    auxiliary_place="after_reduction",
    drop_path_keep=0.7,
    dropout_keep=0.6,
)
_DARTS = Config(style=styles.DARTS, drop_path_keep=0.8, drop_path_by_depth=False)

PRESETS: dict[str, Config] = {
    "nao_pytorch": _NAO_PYTORCH,  # NAONet-B and NAONet-V2
    "nao_pytorch_large": dataclasses.replace(_NAO_PYTORCH, style=styles.NAO_PYTORCH_LARGE),  # NAONet-A, 36 channels
    "nao_pytorch_imagenet": Config(num_cells=num_cells(4), width=52, num_classes=1000, stem="imagenet"),  # NAONet-V2
    "nao_pytorch_large_imagenet": Config(
        num_cells=num_cells(4), width=42, num_classes=1000, style=styles.NAO_PYTORCH_LARGE, stem="imagenet"
    ),  # NAONet-A
    "nao_tf": _NAO_TF,
    "nao_tf_proxy": dataclasses.replace(_NAO_TF, num_cells=num_cells(3), width=32, dropout_keep=1.0),
    "nao_ws_tf": Config(
        num_cells=num_cells(5),
        style=styles.NAO_WS_TF,
        has_final_relu=True,
        has_bias=False,
        auxiliary_place="after_reduction",
        auxiliary_is_padded=True,
        drop_path_keep=0.6,
        dropout_keep=0.8,
    ),
    "lanas": dataclasses.replace(_DARTS, num_cells=24, width=128, style=styles.LANAS),
    "lanas_imagenet": dataclasses.replace(
        _DARTS,
        num_cells=num_cells(4),
        width=50,
        num_classes=1000,
        style=styles.LANAS,
        stem="imagenet",
        drop_path_keep=1.0,
    ),  # of the published number of parameters, 5.1 million
    "lanas_proxy": dataclasses.replace(_DARTS, width=32, style=styles.LANAS),  # the networks of the distributed search
    "lanas_oneshot_retrain": dataclasses.replace(_DARTS, style=styles.LANAS_ONESHOT, auxiliary=False),
    "darts": _DARTS,
}
