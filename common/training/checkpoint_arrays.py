"""Arrays of a state by name, and the record of their shapes and checksums in a checkpoint."""

import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def named(state: Any) -> dict[str, Any]:
    """Returns name -> array of a state, in the order of its leaves."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def record(arrays: Mapping[str, Any], *, checksums: bool = False) -> dict[str, list]:
    """Returns name -> [shape and type as text, checksum or None]."""
    return {
        name: [
            f"{array.dtype}{list(array.shape)}",
            zlib.crc32(np.ascontiguousarray(np.asarray(array)).view(np.uint8).data) if checksums else None,
        ]
        for name, array in arrays.items()
    }


def difference(got: Mapping[str, list], wanted: Mapping[str, list]) -> str:
    """Returns the first difference in shape or type between two records, or an empty text."""
    for name in sorted(got.keys() | wanted.keys()):
        old, new = (record[name][0] if name in record else "absent" for record in (got, wanted))
        if old != new:
            return f"{name} is {old} there and {new} here"
    return ""
