"""Child networks: a cell genotype stacked to a classifier of images, for training from scratch.

Both families stack the same way: a stem, `num_cells` cells of which those at num_cells // 3 and
2 num_cells // 3 are reductions that double the width, and a classifier. NAO's N cells per stage are
3 N + 2 cells in all. `PRESETS` has the settings of the released programs by name; change what differs with
`dataclasses.replace`.

Branches come in as a static graph, so a genotype is compiled to the operations it has.
"""

import dataclasses
from typing import Literal

import chex
import flax.linen as nn
import jax.numpy as jnp

from common.genotypes import genotype
from common.networks import cells, heads, logits, styles


def num_cells(cells_per_stage: int) -> int:
    """Returns the cells of a network of three stages of `cells_per_stage` normal cells with a reduction between."""
    return 3 * cells_per_stage + 2


@dataclasses.dataclass(frozen=True)
class Config:
    """How a genotype is stacked.

    Attributes:
      num_cells: cells in all, the two reductions among them.
      width: channels of an operation in the first cell.
      num_classes: how many logits there are.
      style: the family, see `common.networks.styles`.
      stem: "cifar", which keeps the size of the images, or "imagenet", which divides it by 8.
      stem_multiplier: channels of the CIFAR stem, as a multiple of the width.
      has_final_relu: whether a ReLU comes before the last pool.
      has_bias: whether linear layers have a bias.
      auxiliary: whether there is an auxiliary head, which works in training alone. It needs 8 pixels where it
        branches off; where images are smaller, a `ValueError` asks to leave it out.
      auxiliary_place: the cell whose output it reads, the second "reduction" or the cell "after_reduction".
      auxiliary_is_padded: whether its last convolution is padded.
      drop_path_keep: the probability at the end of training to keep a branch; 1 drops none.
      drop_path_by_depth: whether earlier cells keep more.
      dropout_keep: the probability to keep a feature before the classifier.
      output: what a cell does with the states that it puts out: "concatenated" is side by side, "projected" brings
        them to the width of the cell (ReLU, 1x1, norm), as NAO's networks with shared weights do.
      dtype: of activations, a key of `styles.DTYPES`. Logits are float32 always.
      remat: whether a cell's activations are computed again for its gradient, which takes less memory.
    """

    num_cells: int = 20
    width: int = 36
    num_classes: int = 10
    style: styles.Style = styles.NAO_PYTORCH
    stem: Literal["cifar", "imagenet"] = "cifar"
    stem_multiplier: int = 3
    has_final_relu: bool = False
    has_bias: bool = True
    auxiliary: bool = True
    auxiliary_place: Literal["reduction", "after_reduction"] = "reduction"
    auxiliary_is_padded: bool = False
    drop_path_keep: float = 1.0
    drop_path_by_depth: bool = True
    dropout_keep: float = 1.0
    output: Literal["concatenated", "projected"] = "concatenated"
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False

    def __post_init__(self):
        """Refuses what cannot be built."""
        if self.num_cells < 1 or self.width < 1 or self.num_classes < 1:
            raise ValueError(
                "num_cells, width and num_classes must be positive; got "
                f"{self.num_cells}, {self.width} and {self.num_classes}"
            )
        for name in ("drop_path_keep", "dropout_keep"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1]; got {getattr(self, name)}")
        for name, allowed in (
            ("stem", tuple(heads.STEMS)),
            ("auxiliary_place", ("reduction", "after_reduction")),
            ("output", ("concatenated", "projected")),
            ("dtype", tuple(styles.DTYPES)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}")

    @property
    def reductions(self) -> tuple[int, ...]:
        """The cells that are reductions, counted from 0."""
        return tuple(sorted({self.num_cells // 3, 2 * self.num_cells // 3}))

    @property
    def auxiliary_cell(self) -> int:
        """The cell whose output the auxiliary head reads."""
        after = self.auxiliary_place == "after_reduction"
        return min(self.reductions[-1] + after, self.num_cells - 1)


class Network(nn.Module):
    """A network of cells.

    Attributes:
      genotype: its two cells.
      config: see `Config`.
    """

    genotype: genotype.CellGenotype
    config: Config

    @nn.compact
    def __call__(self, images: chex.Array, *, train: bool, progress: chex.Numeric = 0.0) -> logits.Logits:
        """Returns the logits.

        Args:
          images: float32[B, H, W, C].
          train: whether it trains: batch statistics, dropped branches and features (random streams "drop_path"
            and "dropout"), logits of the auxiliary head.
          progress: float32[] in [0, 1], the fraction of training done, on which the dropping of branches depends.
        """
        config = self.config
        style = dataclasses.replace(config.style, dtype=config.dtype)
        is_imagenet = config.stem == "imagenet"
        stem_width = config.width if is_imagenet else config.stem_multiplier * config.width
        states = heads.STEMS[config.stem](stem_width, style, name="stem")(images, train)
        num_branches = max(cells.num_branches(cell) for cell in (self.genotype.normal, self.genotype.reduction))
        scales = drop_path_scales(self, config, progress, (num_branches, images.shape[0])) if train else None
        cell_type = nn.remat(cells.Cell, static_argnums=(4,)) if config.remat else cells.Cell
        width, auxiliary = config.width, None
        for at in range(config.num_cells):
            is_reduction = at in config.reductions
            width *= 2 if is_reduction else 1
            cell = cell_type(
                self.genotype.reduction if is_reduction else self.genotype.normal,
                width,
                style,
                is_reduction=is_reduction,
                is_first=at == 0,
                is_projected=config.output == "projected",
                name=f"cell_{at}",
            )
            states = states[1], cell(*states, None if scales is None else scales[at], train)
            if at == config.auxiliary_cell and config.auxiliary and (train or self.is_initializing()):
                auxiliary = auxiliary_head(config, style)(states[1], train)
        return logits.Logits(main=classifier(config, style)(states[1], train), auxiliary=auxiliary)


def auxiliary_head(config: Config, style: styles.Style) -> heads.Auxiliary:
    """Returns the auxiliary head of a network, for use within it."""
    return heads.Auxiliary(
        config.num_classes,
        style,
        stride=2 if config.stem == "imagenet" else 3,
        is_padded=config.auxiliary_is_padded,
        has_bias=config.has_bias,
        name="auxiliary",
    )


def classifier(config: Config, style: styles.Style) -> heads.Classifier:
    """Returns the end of a network, for use within it."""
    return heads.Classifier(
        config.num_classes,
        style,
        has_relu=config.has_final_relu,
        has_bias=config.has_bias,
        dropout_keep=config.dropout_keep,
        name="classifier",
    )


def drop_path_scales(
    module: nn.Module, config: Config, progress: chex.Numeric, shape: tuple[int, int]
) -> chex.Array | None:
    """Returns float32[cells, branches, B] of `shape` (branches, B), or None where nothing is dropped.

    The draws are of the stream "drop_path" of `module`.
    """
    if config.drop_path_keep == 1.0:
        return None
    keep = cells.keep_probabilities(
        config.num_cells,
        config.drop_path_keep,
        by_depth=config.drop_path_by_depth,
        progress=jnp.asarray(progress, jnp.float32),
    )
    return cells.drop_path_scales(module.make_rng("drop_path"), keep, num_branches=shape[0], batch_size=shape[1])


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
    "lanas_proxy": dataclasses.replace(_DARTS, width=32, style=styles.LANAS),  # what the distributed search trains
    "lanas_oneshot_retrain": dataclasses.replace(_DARTS, style=styles.LANAS_ONESHOT, auxiliary=False),
    "darts": _DARTS,
}
