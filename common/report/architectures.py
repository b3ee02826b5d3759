"""Search spaces of runs, and their architectures as text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from common import spaces, tables, types


def space_of(config: Mapping[str, Any]) -> types.SearchSpace:
    """Returns the space of a config.json, of a user's benchmark from its file; ValueError if unknown or missing."""
    flags = config.get("flags", {})
    if tables.is_file(str(flags.get("benchmark"))) and flags.get("evaluator", "benchmark") == "benchmark":
        found = tables.load_benchmark(flags["benchmark"], flags.get("data_dir"), space=flags.get("space"))
        return tables.table.space_of(found)
    name = config["space"]
    if name not in spaces.SPACES and name not in spaces.VARIANTS:
        raise ValueError(f"its space, {name}, is of another package, which a report does not import")
    return spaces.get(name)


def known_space(config: Mapping[str, Any]) -> types.SearchSpace | None:
    """Returns `space_of`; None if the space is of another version, or a lost file."""
    try:
        return space_of(config)
    except ValueError:
        return None


def described(arch: np.ndarray, space: types.SearchSpace | None, result: Mapping[str, Any] | None = None) -> str:
    """Returns an architecture int32[L] as text.

    Args:
      space: None if unknown, such as one of another package.
      result: result.json, which has texts of some architectures of such a space; those of others are their numbers.
    """
    if space is not None:
        return space.describe(arch)
    row, result = arch.tolist(), result or {}
    texts = (
        one.get("description") for one in (result.get("best") or {}, *result.get("front", ())) if one.get("arch") == row
    )
    return next(texts, None) or " ".join(map(str, row))
