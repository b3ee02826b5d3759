"""Predictions of the Gaussian process for a whole pool, whose rows have most of their features in common.

The kernels exp(-r |x - x'|^2) are products over the columns of the features. Of the P rows of a product space the left
columns, and the right ones, have only about sqrt(P) distinct values, so that all predictions are one product of two
small matrices: sum_i alpha_i k(left, left_i) k(right, right_i).
"""

import chex
import jax.numpy as jnp
import numpy as np

from lanas_jax import kernel

_LARGEST = 8  # combinations of left and right parts, per row of the pool, beyond which rows are predicted one by one
_SAMPLE = 1 << 13  # rows from which the column to split at is chosen


@chex.dataclass(frozen=True)
class Grid:
    """The features of a pool as combinations of parts.

    Attributes:
      left: float32[A, C], the distinct values of the first columns.
      right: float32[B, F - C], of the other columns; one value without columns if the features have no such parts.
      at: int32[P], the combination of each row of the pool: its left part * B + its right part.
    """

    left: chex.Array
    right: chex.Array
    at: chex.Array


def of_features(features: np.ndarray) -> Grid:
    """Returns the `Grid` of the float32[P, F] features of a pool."""
    num_rows, num_columns = features.shape
    sample = features[np.random.default_rng(0).permutation(num_rows)[:_SAMPLE]]

    def num_parts(at):
        return sum(len(_distinct(part)[0]) for part in (sample[:, :at], sample[:, at:]))

    split = min(range(1, num_columns), key=num_parts, default=0)
    left, left_at = _distinct(features[:, :split])
    right, right_at = _distinct(features[:, split:])
    if len(left) * len(right) > _LARGEST * num_rows:
        left, left_at = _distinct(features)
        right, right_at = np.zeros((1, 0), np.float32), 0
    at = left_at * len(right) + right_at
    return Grid(left=jnp.asarray(left), right=jnp.asarray(right), at=jnp.asarray(at, jnp.int32))


def _distinct(features):
    """Returns (the distinct rows, the index of each row among them), by hashes of 64 bits."""
    hashes = np.zeros(len(features), np.uint64)
    for column in np.ascontiguousarray(features.T, np.float32).view(np.uint32):
        hashes = (hashes + column + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(32)
    _, first, at = np.unique(hashes, return_index=True, return_inverse=True)
    return features[first], at


def predict(posterior: kernel.Posterior, grid: Grid) -> chex.Array:
    """Returns float32[P], the average prediction of the models for the rows of the pool."""
    num_left = grid.left.shape[1]
    if len(grid.right) == 1:
        return kernel.predict(posterior, grid.left)[grid.at]
    left, right = (
        kernel.kernels(posterior, parts, inputs)
        for parts, inputs in ((grid.left, posterior.inputs[:, :num_left]), (grid.right, posterior.inputs[:, num_left:]))
    )
    scaled = [near * factor[None] for near, factor in zip(left, kernel.factors(posterior))]
    combined = jnp.concatenate(scaled, axis=1) @ jnp.concatenate(right, axis=1).T
    return posterior.mean + combined.reshape(-1)[grid.at]
