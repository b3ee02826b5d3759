"""Operations on sets of architecture rows: lexicographic order, look-up, duplicates."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation

_MAX_COMPARED = 1024  # maximum batch for pairwise comparison; beyond, sorting is faster


def lexicographic_order(rows: np.ndarray) -> np.ndarray:
    """Returns int[P], the permutation that sorts integer `rows` [P, L] lexicographically (on the host)."""
    return np.lexsort(rows.T[::-1])


def check_sorted(rows: np.ndarray, name: str) -> None:
    """Raises a `ValueError` that names int[P, L] `rows` unless they are distinct and in lexicographic order."""
    steps = np.diff(rows.astype(np.int16 if rows.dtype == np.int8 else np.int64), axis=0)
    first = np.take_along_axis(steps, np.argmax(steps != 0, axis=1)[:, None], axis=1)[:, 0]
    if not np.all(first > 0):
        at = int(np.argmin(first > 0))
        raise ValueError(
            f"{name} must be distinct rows in lexicographic order; row {at + 1}, {rows[at + 1].tolist()}, follows "
            f"{rows[at].tolist()}; sort them with np.unique(rows, axis=0)"
        )


@compilation.one_program
def find(sorted_rows: chex.Array, rows: chex.Array) -> chex.Array:
    """Looks rows up among sorted ones, by binary search.

    Args:
      sorted_rows: int[P, L], distinct and in lexicographic order, as `enumerate` of a space returns them. Among others
        rows are not found, without an error (`check_sorted` is for the host).
      rows: int[B, L].

    Returns:
      int32[B], the index of each row in `sorted_rows`; P if it is not there (a scatter with `mode="drop"` ignores it).
    """
    sorted_rows = jnp.asarray(sorted_rows)
    num_rows = sorted_rows.shape[0]

    def one(row):
        def halve(_, bounds):
            low, high = bounds
            middle = (low + high) // 2
            differs = sorted_rows[middle] != row
            at = jnp.argmax(differs)
            is_less = jnp.any(differs) & (sorted_rows[middle, at] < row[at])
            return jnp.where(is_less, middle + 1, low), jnp.where(is_less, high, middle)

        steps = max(1, int(np.ceil(np.log2(num_rows + 1))))
        low, _ = jax.lax.fori_loop(0, steps, halve, (jnp.int32(0), jnp.int32(num_rows)))
        at = jnp.minimum(low, num_rows - 1)
        return jnp.where(jnp.all(sorted_rows[at] == row), at, num_rows)

    return jax.vmap(one)(rows.astype(sorted_rows.dtype)).astype(jnp.int32)


@compilation.one_program
def is_repeat(rows: chex.Array) -> chex.Array:
    """Returns bool[B]: which rows of int[B, L] equal an earlier row of the same batch."""
    if rows.shape[0] > _MAX_COMPARED:
        order = jnp.lexsort(rows.T[::-1])  # stable: of equal rows the earliest comes first
        ordered = rows[order]
        is_same = jnp.all(ordered[1:] == ordered[:-1], axis=1)
        return jnp.zeros(rows.shape[:1], bool).at[order[1:]].set(is_same)
    equal = jnp.all(rows[:, None, :] == rows[None, :, :], axis=-1)
    return jnp.any(jnp.tril(equal, k=-1), axis=1)
