"""JSON files of a run that may still be written to, or was killed."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any


class NothingYetError(ValueError):
    """A search has measured nothing yet, of which there could be a page."""


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the object in a file; None where there is no file.

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
    """Returns the objects in the whole lines of a file, none where there is no file; a kill may have torn the last."""
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
