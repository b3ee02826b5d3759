"""Differences between the published families of cell networks.

The papers' terms (separable convolution, factorized reduction, calibration) leave open what the released programs
settle, and settle differently: the TensorFlow and the PyTorch programs of NAO disagree, and LaNAS follows DARTS. A
`Style` names each difference once; layers, operations and cells read it.
"""

import dataclasses
from typing import Annotated, Literal

import jax.numpy as jnp

from common import config as configs
from common.config import Range

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
Dtype = Annotated[Literal[tuple(DTYPES)], "type of activations; parameters, running statistics and logits are float32"]


@configs.dataclass
class Style:
    """Construction of layers, operations and cells; the defaults are those of NAO in PyTorch."""

    padding: Annotated[
        Literal["symmetric", "same"], "padding of windows: symmetric (PyTorch), same (TensorFlow: more at the end)"
    ] = "symmetric"
    factorized_strides: Annotated[
        Literal["split", "first"],
        "strides of a 1xk, kx1 convolution: split (width in the first, height in the second), first (both there)",
    ] = "split"
    counts_padding: Annotated[bool, "whether average pools count the zeros around the image"] = False
    pads_2x2_with_zeros: Annotated[
        bool, "whether pools of 2x2 see a row and a column of zeros at the end, which an average counts"
    ] = True
    strided_identity: Annotated[
        Literal["reduction", "relu_reduction", "relu_convolution"],
        "identity at stride 2: reduction (factorized), relu_reduction (ReLU first), relu_convolution (ReLU, 1x1, norm)",
    ] = "reduction"
    dilated_repeats: Annotated[
        int, "repetitions of (ReLU, depthwise, pointwise) in a dilated separable convolution", Range(at_least=1)
    ] = 1
    is_standardized: Annotated[
        bool, "whether to standardize kernels: pointwise ones of operations, all between a ReLU and a norm (LaNet)"
    ] = False
    is_affine: Annotated[bool, "whether norms have a scale and an offset"] = True
    normalizes_pools: Annotated[bool, "whether a norm follows each pool (the supernet of LaNAS)"] = False
    epsilon: Annotated[float, "added to the variance in norms", Range(above=0)] = 1e-5
    momentum: Annotated[float, "decay of the running statistics", Range(at_least=0, below=1)] = 0.9
    statistics: Annotated[
        Literal["running", "batch", "collect", "given", "none"],
        "statistics of norms: running (of the batch in training, else their moving average); for shared weights "
        "batch (always of the batch), collect (likewise, and stored in batch_stats), given (read from batch_stats); "
        "none: no norms (synflow)",
    ] = "running"
    initializer: Annotated[
        Literal["torch_he", "torch_uniform", "tf_he", "tf_fan_out"], "parameter initializer, see `initializers`"
    ] = "torch_he"
    calibration: Annotated[
        Literal["where_needed", "always", "nao_tf", "nao_ws_tf", "nao_ws_tf_shared"],
        "how both inputs of a cell get its width, see `cells.Calibration`",
    ] = "where_needed"
    drop_path_exempt: Annotated[
        Literal["none", "identity", "pass_through"],
        "branches that are never dropped: none, identity (by name), pass_through (identity at stride 1)",
    ] = "none"
    dtype: Dtype = "float32"


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
