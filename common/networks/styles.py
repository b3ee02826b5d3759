"""What the published families of cell networks do differently, by name.

The papers' words (separable convolution, factorized reduction, calibration) leave open what the released
programs settle, and settle differently: the TensorFlow and the PyTorch programs of NAO disagree with each
other, and LaNAS follows DARTS. A `Style` names each difference once; layers, operations and cells read it.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Style:
    """How layers, operations and cells are built. The defaults are those of NAO in PyTorch.

    Attributes:
      padding: of strided windows, "symmetric" as in PyTorch, or "same" as in TensorFlow, which pads the end more.
      factorized_strides: where a strided 1xk, kx1 convolution strides: "split" is width in the first and height
        in the second, "first" both in the first.
      counts_padding: whether an average pool counts the zeros around the image.
      pads_2x2_with_zeros: whether pools of 2x2 see a row and a column of zeros at the end, which an average counts,
        or no more than the image.
      strided_identity: what identity is at stride 2: a "reduction" (factorized), a "relu_reduction" (ReLU first)
        or a "relu_convolution" (ReLU, strided 1x1, norm).
      dilated_repeats: how often a dilated separable convolution applies its (ReLU, depthwise, pointwise) in turn.
      is_standardized: whether the weights of pointwise convolutions of operations, and of all convolutions that
        stand between a ReLU and a norm, are standardized (LaNet).
      is_affine: whether norms have a scale and an offset.
      normalizes_pools: whether a norm follows each pool (the supernet of LaNAS).
      epsilon: added to the variance in a norm.
      momentum: how much of the running statistics a step keeps.
      statistics: what norms divide by: "running" is the batch's when training and its moving average otherwise, which
        is kept in the collection "batch_stats". Networks with shared weights keep none: "batch" is the batch's
        always, "collect" too, and puts it in "batch_stats", "given" is what "batch_stats" holds.
      initializer: of weights, see `common.networks.initializers`.
      calibration: how the two inputs of a cell get its width, see `common.networks.cells.Calibration`.
      drop_path_exempt: which branches are never dropped: "none", "identity" (by name), or "pass_through" (identity
        at stride 1).
      dtype: of activations, a key of `DTYPES`; parameters and running statistics are float32 whatever it is. Whole
        networks set it from their own configuration.
    """

    padding: Literal["symmetric", "same"] = "symmetric"
    factorized_strides: Literal["split", "first"] = "split"
    counts_padding: bool = False
    pads_2x2_with_zeros: bool = True
    strided_identity: Literal["reduction", "relu_reduction", "relu_convolution"] = "reduction"
    dilated_repeats: int = 1
    is_standardized: bool = False
    is_affine: bool = True
    normalizes_pools: bool = False
    epsilon: float = 1e-5
    momentum: float = 0.9
    statistics: Literal["running", "batch", "collect", "given"] = "running"
    initializer: Literal["torch_he", "torch_uniform", "tf_he", "tf_fan_out"] = "torch_he"
    calibration: Literal["where_needed", "always", "nao_tf", "nao_ws_tf"] = "where_needed"
    drop_path_exempt: Literal["none", "identity", "pass_through"] = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self):
        """Refuses unknown names, and numbers that make no norm."""
        for field in dataclasses.fields(self):
            allowed = getattr(field.type, "__args__", None)
            value = getattr(self, field.name)
            if allowed and value not in allowed:
                raise ValueError(f"{field.name} must be one of {', '.join(allowed)}; got {value!r}")
        if self.dilated_repeats < 1:
            raise ValueError(f"dilated_repeats must be at least 1; got {self.dilated_repeats}")
        if self.epsilon <= 0 or not 0 <= self.momentum < 1:
            raise ValueError(f"epsilon must be positive and momentum in [0, 1); got {self.epsilon} and {self.momentum}")


NAO_PYTORCH = Style()  # identity, too, has been dropped since 2020-03; the published figures are older
NAO_PYTORCH_LARGE = dataclasses.replace(NAO_PYTORCH, counts_padding=True)  # the 11 operations, of NAONet-A
NAO_TF = Style(
    padding="same",
    factorized_strides="first",
    pads_2x2_with_zeros=False,
    strided_identity="relu_convolution",
    dilated_repeats=2,
    initializer="tf_fan_out",
    calibration="nao_tf",
    drop_path_exempt="identity",
)
NAO_WS_TF = dataclasses.replace(NAO_TF, strided_identity="reduction", initializer="tf_he", calibration="nao_ws_tf")
DARTS = Style(
    pads_2x2_with_zeros=False,
    strided_identity="relu_reduction",
    initializer="torch_uniform",
    calibration="always",
    drop_path_exempt="pass_through",
)
LANAS = dataclasses.replace(DARTS, is_standardized=True)
LANAS_ONESHOT = dataclasses.replace(DARTS, is_affine=False, normalizes_pools=True)
