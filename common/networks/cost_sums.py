"""Costs that are sums of table entries, one for each choice of a row."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp
import numpy as np


class Sum(NamedTuple):
    """The costs of a row: `constant` plus, for each of T terms, the entry of its table at the row's index."""

    constant: np.ndarray  # int64[2]
    index: Callable[[chex.Array], chex.Array]  # archs int[B, L] -> int[B, T], NumPy or JAX as `archs`
    tables: np.ndarray  # int64[T, K, 2]

    def column(self, at: int, archs: chex.Array) -> chex.Array:
        """Returns the cost `at` of each row: int64[B] of a NumPy array, float32[B] of a JAX array."""
        tables, constant = self.tables[..., at], self.constant[at]
        index = self.index(archs)
        if not isinstance(archs, np.ndarray):  # 64-bit integers need a global option of JAX
            tables, constant = jnp.asarray(tables, jnp.float32), jnp.float32(constant)
        return constant + tables[np.arange(len(self.tables))[None], index].sum(axis=1)


def pad(table: np.ndarray, size: int) -> np.ndarray:
    """Returns a table [K, 2] with zeros appended up to [size, 2]."""
    return np.pad(table, ((0, size - len(table)), (0, 0)))
