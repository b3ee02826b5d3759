"""Checked reading of JSON: no key twice, no deep nesting, and errors that say where."""

import json
import os
from typing import Any

from common.file_formats import files

MAX_NESTING = 100


def read(path: str | os.PathLike) -> Any:
    """Returns the value of a JSON file, a byte order mark aside; raises a `ValueError` that names file and line."""
    try:
        return parse(files.read_text(path))
    except ValueError as error:
        raise files.FormatError(str(error) if str(path) in str(error) else f"{path} is {error}") from error


def parse(text: str | bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
      ValueError: it is not JSON, names a key twice in an object, or nests deeper than `MAX_NESTING`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except files.FormatError:
        raise
    except json.JSONDecodeError as error:
        raise files.FormatError(f"not JSON from line {error.lineno}, column {error.colno} on") from error
    except UnicodeDecodeError as error:
        raise files.FormatError("not UTF-8 text") from error
    except RecursionError as error:
        raise files.FormatError(_TOO_DEEP) from error
    except ValueError as error:  # Python's limit
        raise files.FormatError("not JSON: an integer has too many digits") from error
    _check_nesting(value)
    return value


_TOO_DEEP = f"not read: its brackets are nested more than {MAX_NESTING} deep"


def _object(pairs):
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for at, name in enumerate(names) if name in names[:at])
        raise files.FormatError(f"not read: an object has the key {repeated[:60]!r} twice")
    return made


def _check_nesting(value):
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise files.FormatError(_TOO_DEEP)
