"""Names of operations and their synonyms: a genotype keeps the names of its source, which `find` looks up."""

import re
from collections.abc import Iterable, Sequence

CONVOLUTIONAL = (
    *("identity", "skip_connect", "zero", "none"),
    *("conv_1x1", "conv_3x3", "conv_5x5", "conv_1x3_3x1", "conv_1x7_7x1", "conv_7x1_1x7"),
    *("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"),
    *("dil_sep_conv_3x3", "dil_sep_conv_5x5", "dil_sep_conv_7x7"),
    *("dil_conv_3x3", "dil_conv_5x5", "dil_conv_7x7"),
    *("avg_pool_2x2", "avg_pool_3x3", "avg_pool_5x5", "avg_pool_7x7"),
    *("max_pool_2x2", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7", "min_pool_2x2"),
)
ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
VERTICES = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")  # of NAS-Bench-101, between `input` and `output`
EDGES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # of NAS-Bench-201
BLOCK = re.compile(  # of chains
    r"mb[1-9][0-9]*_k[1-9][0-9]*|identity|(narrow|wide)-(small|large)|conv_x[124]|plain|residual(_se)?"
    r"|inverted_k[1-9][0-9]*_e[1-9][0-9]*(_se)?"
)

# NAO's PyTorch program applies a dilated separable convolution once, as DARTS does; its TensorFlow program twice.
# DARTS's conv_7x1_1x7 has no norm between its two convolutions, so it is not NAO's conv_1x7_7x1.
_SAME = {"identity": "skip_connect", "zero": "none"}
_SAME |= {f"dil_sep_conv_{kernel}": f"dil_conv_{kernel}" for kernel in ("3x3", "5x5", "7x7")}
_OTHER = _SAME | {other: name for name, other in _SAME.items()}


def find(name: str, names: Iterable[str]) -> str | None:
    """Returns the one of `names` with the meaning of `name`, or None."""
    names = tuple(names)
    return name if name in names else _OTHER[name] if _OTHER.get(name) in names else None


def check(name: str, names: Sequence[str], place: str) -> str:
    """Returns the one of `names` with the meaning of `name`, or raises a `ValueError` that names its `place`."""
    found = find(name, names) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"{place}: unknown operation {name!r}; choose one of {', '.join(names)}")
    return found
