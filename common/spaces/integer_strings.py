"""Reader of architectures published as rows of integers."""

import re
from collections.abc import Sequence

import numpy as np


def read(text: str, kind: str, *, places: Sequence[str], lows: Sequence[int], highs: Sequence[int]) -> np.ndarray:
    """Returns int32[n], the n integers of a text, separated by blanks or commas, in brackets, in parentheses or bare.

    Args:
      text: such as `0 1 0 4` or `[0, 1, 0, 4]`.
      kind: description of the text, for messages, such as "nao_small architecture".
      places: meaning of each of the n integers, for messages, such as "node 2, operation of branch 1".
      lows: the smallest integer allowed at each place.
      highs: the largest.

    Raises:
      ValueError: if a part is not an integer, the number of integers is not n, or one is out of range.
    """
    words = [word for word in re.split(r"[\s,\[\]()]+", text) if word]
    for at, word in enumerate(words):
        if not re.fullmatch(r"-?[0-9]+", word):
            raise ValueError(f"{kind}: part {at + 1} of {text!r}, {word!r}, is no integer")
    if len(words) != len(places):
        raise ValueError(f"{kind}: write {len(places)} integers; got {len(words)} in {text!r}")
    for at, (word, place, low, high) in enumerate(zip(words, places, lows, highs, strict=True)):
        if not low <= int(word) <= high:
            raise ValueError(
                f"{kind}: integer {at + 1} of {len(words)} ({place}) is {word}; allowed are {low} to {high}"
            )
    return np.array([int(word) for word in words], np.int32)
