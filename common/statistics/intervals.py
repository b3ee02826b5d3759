"""Means, medians and rank correlations with confidence intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
NUM_RESAMPLES = 2000
_BATCH = 100  # resamples held in memory at a time


class Band(NamedTuple):
    """A value and the ends of its interval: floats, or arrays of one shape."""

    center: np.ndarray | float
    low: np.ndarray | float
    high: np.ndarray | float


def mean(*samples: np.ndarray) -> Band:
    """Returns the mean over seeds with the 95 % percentile interval of its bootstrap (Efron 1979), with a fixed seed.

    Args:
      *samples: float[S, ...], seeds first, such as curves float[S, N]. Of several tasks it is the mean of their means,
        and each task is resampled separately.

    Returns:
      A `Band` of values of shape [...]: NaN where a seed's value is not finite, and of width 0 with one seed.

    Raises:
      ValueError: there is no seed, or no task.
    """

    def statistic(*samples, axis):
        return np.mean([np.mean(values, axis=axis) for values in samples], axis=0)

    return _bootstrapped(samples, statistic)


def interquartile_mean(*samples: np.ndarray) -> Band:
    """Returns the mean of the middle half of all values, with the percentile interval of its bootstrap.

    The interquartile mean of arXiv:2108.13264, section 4.3: more robust to outliers than the mean, more efficient than
    the median. Arguments and results are those of `mean`; values of several tasks are on one scale.
    """

    def statistic(*samples, axis):
        return stats.trim_mean(np.concatenate(samples, axis=axis), 0.25, axis=axis)

    return _bootstrapped(samples, statistic)


def median(values: np.ndarray) -> Band:
    """Returns the median over seeds of float[S, ...] and the quartiles; half of the seeds lie between these.

    Values may be infinite (a target never reached): a quantile that lies between two values of which one is infinite
    is infinite.

    Raises:
      ValueError: there is no seed.
    """
    ordered = np.sort(_checked(values), axis=0)
    return Band(*(_quantile(ordered, quantile) for quantile in (0.5, 0.25, 0.75)))


def by_queries(values: np.ndarray, after: Sequence[int], kinds: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Returns the intervals of float[S, A], values after A numbers of queries, for study.json.

    Args:
      values: seeds first.
      after: the numbers of queries, keys of the result as text.
      kinds: "mean", "interquartile_mean" or "median", keys of the inner dicts, whose values are [center, low, high].
    """
    of = {"mean": mean, "interquartile_mean": interquartile_mean, "median": median}
    bands = {kind: np.stack(of[kind](values), axis=-1) for kind in kinds}
    return {str(queries): {kind: band[at].tolist() for kind, band in bands.items()} for at, queries in enumerate(after)}


def kendall_tau(first: np.ndarray, second: np.ndarray) -> Band:
    """Returns Kendall's tau-b with the percentile interval of its bootstrap over pairs (first[i], second[i]).

    Args:
      first: float[N], such as scores.
      second: float[N], such as accuracies of the same architectures.

    Returns:
      A `Band`; NaN where all numbers of one array are equal. Undefined taus of resamples are left out.

    Raises:
      ValueError: the arrays are not of one length, at least 2, or a number is not finite.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(f"two arrays must be of one length, at least 2; got shapes {first.shape} and {second.shape}")
    if not (np.all(np.isfinite(first)) and np.all(np.isfinite(second))):
        raise ValueError("numbers to be ranked must be finite; leave out unknown ones")
    rows = np.random.default_rng(0).integers(0, len(first), (NUM_RESAMPLES, len(first)))
    with np.errstate(invalid="ignore"):
        tau, *resampled = (
            float(stats.kendalltau(first[row], second[row]).statistic) for row in (np.arange(len(first)), *rows)
        )
    if not np.isfinite(tau) or not np.any(np.isfinite(resampled)):
        return Band(tau, np.nan, np.nan)
    return Band(tau, *np.nanquantile(resampled, ENDS).tolist())


def _quantile(ordered, quantile):
    """By linear interpolation, NumPy's default, which makes NaN of infinities."""
    place = quantile * (len(ordered) - 1)
    below, share = int(place), place - int(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    with np.errstate(invalid="ignore"):
        between = np.where(low == high, low, low + share * (high - low))
    return _plain(low if share == 0 else between)


def _bootstrapped(samples, statistic):
    if not samples:
        raise ValueError("give the values of at least one task")
    samples = [_checked(values) for values in samples]
    is_known = np.all([np.all(np.isfinite(values), axis=0) for values in samples], axis=0)
    samples = [np.where(is_known, values, 0.0) for values in samples]
    center = statistic(*samples, axis=0)
    low = high = center
    if all(len(values) > 1 for values in samples):
        settings = {"confidence_level": LEVEL, "n_resamples": NUM_RESAMPLES, "batch": _BATCH, "method": "percentile"}
        found = stats.bootstrap(samples, statistic, axis=0, rng=np.random.default_rng(0), **settings)
        low, high = found.confidence_interval
    return Band(*(_plain(np.where(is_known, values, np.nan)) for values in (center, low, high)))


def _checked(values):
    values = np.asarray(values, np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"values need a first axis of at least one seed; got an array of shape {values.shape}")
    return values


def _plain(values):
    return float(values) if np.ndim(values) == 0 else np.asarray(values)
