"""Readers of the JSON files of a run, also while it runs or after it was interrupted."""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from common.file_formats import files, json_values


class NothingYetError(ValueError):
    """A search has no results yet that a report could show."""


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the JSON object in a file; None if there is no file.

    Raises:
      ValueError: it is damaged.
    """
    if not os.path.lexists(path):
        return None
    try:
        value = json_values.read(path)
    except files.FormatError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object")
    return value


def read_lines(path: pathlib.Path) -> list[Mapping[str, Any]]:
    """Returns the JSON objects in the complete lines of a file; empty if there is no file. A kill may tear the last."""
    lines = []
    for line in files.read_bytes(path).splitlines() if os.path.lexists(path) else ():
        try:
            value = json_values.parse(line)
        except files.FormatError:
            break
        if not isinstance(value, dict):
            break
        lines.append(value)
    return lines


NUMBER = (int, float)
_NAMES = {int: "a whole number", str: "a text", dict: "an object", list: "a list", bool: "true or false"}


def check(path: pathlib.Path, value: Any, shape: Any, place: str = "") -> None:
    """Raises a `ValueError`, which names the file and the field, unless a JSON value is of a shape.

    Args:
      shape: a type or several; `[shape]`, a list of such values; several shapes, a list of one value of each; or an
        object by field, where a field that ends in `?` may be missing or null, and `*` stands for all other fields.
    """
    if isinstance(shape, dict):
        _expect(path, isinstance(value, dict), value, place, "an object")
        named = {name.removesuffix("?"): inner for name, inner in shape.items()}
        for name, inner in named.items():
            if name != "*" and (name in shape or value.get(name) is not None):
                _expect(path, name in value, None, f"{place}.{name}".lstrip("."), "there")
                check(path, value[name], inner, f"{place}.{name}".lstrip("."))
        for name in value.keys() - named.keys() if "*" in named else ():
            check(path, value[name], named["*"], f"{place}.{name}".lstrip("."))
    elif isinstance(shape, tuple) and not isinstance(shape[0], type):
        is_right = isinstance(value, list) and len(value) == len(shape)
        _expect(path, is_right, value, place, f"a list of {len(shape)}")
        for at, (item, inner) in enumerate(zip(value, shape)):
            check(path, item, inner, f"{place}[{at}]")
    elif isinstance(shape, list):
        _expect(path, isinstance(value, list), value, place, "a list")
        for at, item in enumerate(value):
            check(path, item, shape[0], f"{place}[{at}]")
    else:
        kinds = shape if isinstance(shape, tuple) else (shape,)
        is_right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        is_right = is_right and (not isinstance(value, float) or math.isfinite(value))
        wanted = "a number" if float in kinds else " or ".join(_NAMES.get(kind, "null") for kind in kinds)
        _expect(path, is_right, value, place, wanted)


def _expect(path, is_right, value, place, wanted):
    if not is_right:
        raise ValueError(f"{path} is damaged: {place or 'it'} must be {wanted}; got {value!r:.60}; restore it")
