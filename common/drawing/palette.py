"""Colours of a picture: one for each kind of operation, from the palette of Okabe and Ito.

Its eight colours stay apart for people with any of the common forms of colour blindness
(https://jfly.uni-koeln.de/color/).
"""

import re
from typing import NamedTuple

from common.drawing import lettering

BACKGROUND = "#ffffff"
FRAME = "#eef0f3"  # behind the operations of a node
FRAME_LINE = "#cfd4da"
EDGE = "#5b6470"
INK = "#16191d"
FAINT_INK = "#4a525c"

_SKY, _BLUE, _GREEN, _YELLOW = "#56b4e9", "#0072b2", "#009e73", "#f0e442"
_ORANGE, _VERMILION, _PURPLE, _GREY = "#e69f00", "#d55e00", "#cc79a7", "#c3c9d0"


class Kind(NamedTuple):
    """A kind of operation."""

    name: str  # in the legend; empty: not in the legend
    fill: str  # colour of its boxes
    ink: str = INK  # colour of the text in them
    line: str = "none"  # colour of their outlines
    is_dashed: bool = False
    note: str = ""  # explains it in the legend, after the name


STATE = Kind("", BACKGROUND, line=INK)  # inputs and outputs
OTHER = Kind("other operation", _PURPLE)
_WIDTH = f", width {lettering.TIMES}2: twice the channels that are usual in its stage"
_INVERTED = (
    f", 3{lettering.TIMES}3, {lettering.TIMES}2: 1{lettering.TIMES}1 convolution to twice the channels, "
    f"3{lettering.TIMES}3 depthwise convolution, 1{lettering.TIMES}1 convolution back, and the input is added"
)
# In the order of the legend; the first pattern that a name starts with decides.
_KINDS = (
    (r"mb(conv)?\d+_k3", Kind("inverted residual, kernel 3", _SKY)),
    (r"mb(conv)?\d+_k5", Kind("inverted residual, kernel 5", _BLUE, "#ffffff")),
    (r"mb(conv)?\d+_k7", Kind("inverted residual, kernel 7", _ORANGE)),
    (r"conv_x\d", Kind("convolution", _SKY, note=_WIDTH)),
    (r"plain", Kind("plain block", _YELLOW, note=f": two 3{lettering.TIMES}3 convolutions")),
    (
        r"residual",
        Kind("residual block", _GREEN, note=f": two 3{lettering.TIMES}3 convolutions, and the input is added"),
    ),
    (r"inverted", Kind("inverted residual block", _ORANGE, note=_INVERTED)),
    (r"narrow-small", Kind("narrow convolution, small kernel", _SKY)),
    (r"narrow-large", Kind("narrow convolution, large kernel", _YELLOW)),
    (r"wide-small", Kind("wide convolution, small kernel", _GREEN)),
    (r"wide-large", Kind("wide convolution, large kernel", _BLUE, "#ffffff")),
    (r"sep", Kind("separable convolution", _BLUE, "#ffffff")),
    (r"dil", Kind("dilated convolution", _GREEN)),
    (r"(nor_)?conv", Kind("convolution", _SKY)),
    (r"avg_?pool", Kind("average pooling", _ORANGE)),
    (r"max_?pool", Kind("max pooling", _VERMILION)),
    (r"min_?pool", Kind("min pooling", _YELLOW)),
    (r"tanh", Kind("tanh", _BLUE, "#ffffff")),
    (r"relu", Kind("ReLU", _ORANGE)),
    (r"sigmoid", Kind("sigmoid", _GREEN)),
    (r"(identity|skip)", Kind("identity, skip", _GREY)),
    (r"(none|zero)$", Kind("none", BACKGROUND, FAINT_INK, FAINT_INK, is_dashed=True)),
)


def kind(operation: str) -> Kind:
    """Returns the kind of an operation by its name, in any of the spellings of the published spaces."""
    for pattern, found in _KINDS:
        if re.match(pattern, operation, re.IGNORECASE):
            return found
    return OTHER


def in_order(kinds: set[Kind]) -> list[Kind]:
    """Returns those of the kinds that have a name, in the order of the legend."""
    return [kind for kind in (*(known for _, known in _KINDS), OTHER) if kind in kinds]
