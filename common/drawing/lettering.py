"""Words of a picture: how names are shown, and how much room they need.

A picture is laid out before anything knows which font will show it, so widths are upper bounds: of each letter
the widest advance among DejaVu Sans, Verdana and Arial, rounded up.
"""

import re

TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
MAX_LETTERS = 40  # longer names end in an ellipsis
_HALVES = {"1": "½", "2": "1", "4": "2"}
_BOLD = 1.2  # how much wider bold letters are, at most
_OTHER = 1.3  # em, any letter that is not listed
# Advances in em and the letters that have them.
_ADVANCES = {
    0.35: " '.,:;/\\|ijlI·",
    0.42: "-!()[]rtf",
    0.52: '"*_`szJ',
    0.58: "?ckL",
    0.64: "$0123456789{}abdeghnopquvxy",
    0.69: "ABEFKPSTVXYZ",
    0.79: "CDGHNOQRU&",
    0.86: "½Mw#+<=>^~" + TIMES + MINUS,
    1.00: "Wm%@…",
}
_ADVANCE = {letter: advance for advance, letters in _ADVANCES.items() for letter in letters}
# Characters that XML 1.0 cannot represent, even escaped, and line breaks.
_UNSHOWABLE = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Returns an upper bound of the width of a text set in letters of `size`, in the unit of `size`."""
    return size * sum(_ADVANCE.get(letter, _OTHER) for letter in text) * (_BOLD if is_bold else 1.0)


def clean(text: str) -> str:
    """Returns a text that any picture can show: one line, no control characters."""
    return _UNSHOWABLE.sub("\ufffd", text)


def display(operation: str) -> str:
    """Returns how the name of an operation is shown: `sep_conv_3x3` as `sep conv 3x3` with a true times sign."""
    text = clean(operation)
    block = re.fullmatch(r"mb(\d+)_k(\d+)", text, re.IGNORECASE)
    if block:
        return f"MB{block[1]} {block[2]}{TIMES}{block[2]}"
    text = re.sub(r"(?<=\d)x(?=\d)", TIMES, text.removesuffix("-bn-relu"))
    text = re.sub(rf"(\d{TIMES}\d)_(?=\d{TIMES}\d)", r"\1+", text)
    text = re.sub(r"(?<=conv|pool)(?=\d)", " ", text)
    text = re.sub(r"^(max|avg|min)(?=pool)", r"\1 ", text)
    text = text.removeprefix("nor_").replace("skip_connect", "skip").replace("_", " ")
    return text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"


def block(name: str) -> tuple[str, str]:
    """Returns (kind, sizes) of a block of the space `small_images`, which are shown in two lines; empty for others."""
    if width := re.fullmatch("conv_x([124])", name):
        return "convolution", f"width {TIMES}{_HALVES[width[1]]}"
    if not (found := re.fullmatch(r"(plain|residual|inverted)(?:_k(\d+)_e(\d+))?(_se)?", name)):
        return "", ""
    kind, kernel, expansion, squeeze = found.groups()
    sizes = [f"{kernel}{TIMES}{kernel}", f"{TIMES}{expansion}"] if kernel else [f"3{TIMES}3"]
    return kind, ", ".join([*sizes, *(["SE"] if squeeze else [])])
