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
    return spaces.get(config["space"])


def known_space(config: Mapping[str, Any]) -> types.SearchSpace | None:
    """Returns `space_of`; None if the space is of another version, or a lost file."""
    try:
        return space_of(config)
    except ValueError:
        return None


def described(arch: np.ndarray, space: types.SearchSpace | None) -> str:
    """Returns an architecture int32[L] as text; its numbers if the space is unknown."""
    return " ".join(map(str, arch.tolist())) if space is None else space.describe(arch)
