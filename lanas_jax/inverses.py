"""Updates of the inverses of symmetric matrices, without LAPACK (which can hang in compiled loops on the CPU)."""

import chex
import jax
import jax.numpy as jnp


def extend(
    inverse: chex.Array, column: chex.Array, slot: chex.Array, diagonal: chex.Array, least: chex.Array
) -> chex.Array:
    """Returns float32[K, K], the inverse of the matrix with one more row.

    Args:
      inverse: float32[K, K], 0 in the rows and columns of free slots.
      column: float32[K], the new row of the matrix at each slot; 0 where free.
      slot: int32[], the free slot to take.
      diagonal: float32[], the new element of the diagonal.
      least: float32[], lower bound of the new pivot.
    """
    solved = inverse @ column
    pivot = jnp.maximum(diagonal - column @ solved, least)
    solved = solved.at[slot].add(-1.0)
    return inverse + solved[:, None] * (solved / pivot)[None, :]


def weighted_square(columns: chex.Array, matrix: chex.Array, is_used: chex.Array, *, least: chex.Array) -> chex.Array:
    """Returns float32[Q, K, K], columns @ inverse(matrix) @ columns^T for Q matrices.

    Args:
      columns: float32[Q, K, E], 0 where not `is_used`.
      matrix: float32[Q, E, E], small ones.
      is_used: bool[E], the rows and columns of `matrix` that count.
      least: float32[Q], lower bound of the pivots.
    """
    size = is_used.shape[0]
    matrix = jnp.where((is_used[:, None] & is_used[None])[None], matrix, jnp.eye(size)[None])

    def invert(matrix, least):
        def add(index, inverse):
            row = jnp.where(jnp.arange(size) < index, matrix[index], 0.0)
            return extend(inverse, row, index, matrix[index, index], least)

        return jax.lax.fori_loop(0, size, add, jnp.zeros((size, size)))

    return columns @ jax.vmap(invert)(matrix, least) @ jnp.swapaxes(columns, 1, 2)
