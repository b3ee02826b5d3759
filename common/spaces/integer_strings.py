"""Architectures published as rows of integers."""

import re
from collections.abc import Sequence

import numpy as np


def read(
    text: str, kind: str, places: Sequence[str], num_choices: Sequence[int], *, lows: int | np.ndarray = 0
) -> np.ndarray:
    """Returns int32[n], the choices of a text of n integers, separated by blanks or commas, in brackets or bare.

    Args:
      text: such as `0 1 0 4` or `[0, 1, 0, 4]`.
      kind: description of the text, for messages, such as "nao_small architecture".
      places: meaning of each of the n integers, for messages, such as "node 2, operation of branch 1".
      num_choices: options at each of the n places.
      lows: the integers that stand for choice 0, one or int[n].

    Raises:
      ValueError: if a part is not an integer, the number of integers is not n, or one is out of range.
    """
    words = [word for word in re.split(r"[\s,\[\]()]+", text) if word]
    for at, word in enumerate(words):
        if not re.fullmatch(r"-?[0-9]+", word):
            raise ValueError(f"{kind}: part {at + 1} of {text!r:.60}, {word!r:.60}, is not an integer")
    if len(words) != len(places):
        raise ValueError(f"{kind}: write {len(places)} integers; got {len(words)} in {text!r:.60}")
    lows = np.broadcast_to(lows, len(places)).tolist()
    for at, (word, low, choices) in enumerate(zip(words, lows, num_choices, strict=True)):
        if not low <= int(word) < low + choices:
            place = f"integer {at + 1} of {len(words)} ({places[at]})"
            raise ValueError(f"{kind}: {place} is {word:.60}; allowed are {low} to {low + choices - 1}")
    return np.array([int(word) - low for word, low in zip(words, lows, strict=True)], np.int32)


def write(row: np.ndarray) -> str:
    """Returns the integers of a row, separated by blanks."""
    return " ".join(map(str, np.asarray(row).tolist()))
