"""How far two rows of numbers are in one order, and what that may be off by."""

import numpy as np

from common.statistics import intervals


def kendall_tau(
    first: np.ndarray,
    second: np.ndarray,
    *,
    level: float = intervals.LEVEL,
    num_resamples: int = intervals.NUM_RESAMPLES,
) -> intervals.Band:
    """Returns Kendall's tau-b with the percentile interval of its bootstrap, which resamples pairs of numbers.

    Args:
      first: float[N], such as scores.
      second: float[N], such as accuracies of the same.
      level: share of the resampled taus that the interval holds.
      num_resamples: resamples. They are always the same ones.

    Returns:
      A `Band`; NaN where all numbers of a row are equal.

    Raises:
      ValueError: the rows are not of one length, at least 2, or a number is not finite.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(
            f"two rows must be of one length, at least 2; got arrays of shapes {first.shape} and {second.shape}"
        )
    if not (np.all(np.isfinite(first)) and np.all(np.isfinite(second))):
        raise ValueError("numbers to be ranked must be finite; leave out what is not known")
    signs = [np.sign(values[:, None] - values[None, :]) for values in (first, second)]
    rows = np.random.default_rng(0).integers(0, len(first), (num_resamples, len(first)))
    counts = np.stack([np.bincount(row, minlength=len(first)) for row in rows]).astype(np.float64)
    taus = _tau_b(signs, counts)
    known = taus[np.isfinite(taus)]
    center = float(_tau_b(signs, np.ones((1, len(first))))[0])
    if not len(known) or not np.isfinite(center):
        return intervals.Band(center, np.nan, np.nan)
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return intervals.Band(center, float(low), float(high))


def _tau_b(signs, counts):
    """Returns float[R], of resamples in which number i is there counts[:, i] times."""
    pairs = [np.sum(counts @ one * counts, axis=1) for one in (signs[0] * signs[1], signs[0] ** 2, signs[1] ** 2)]
    with np.errstate(invalid="ignore"):
        return pairs[0] / np.sqrt(pairs[1] * pairs[2])
