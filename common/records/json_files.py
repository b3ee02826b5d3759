"""Readers of the JSON files of a run, also while it runs or after it was interrupted."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any


class NothingYetError(ValueError):
    """A search has no results yet that a report could show."""


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the JSON object in a file; None if there is no file.

    Raises:
      ValueError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object")
    return value


def read_lines(path: pathlib.Path) -> list[Mapping[str, Any]]:
    """Returns the JSON objects in the complete lines of a file; empty if there is no file. A kill may tear the last."""
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            value = json.loads(line)
        except ValueError:
            break
        if not isinstance(value, dict):
            break
        lines.append(value)
    return lines
