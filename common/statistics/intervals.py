"""Means and medians over seeds, with what they may be off by."""

from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
NUM_RESAMPLES = 2000
_BATCH = 100  # resamples held in memory at a time


class Band(NamedTuple):
    """A value and the ends of its interval: floats, or arrays of one shape."""

    center: np.ndarray | float
    low: np.ndarray | float
    high: np.ndarray | float


def mean(*samples: np.ndarray, level: float = LEVEL, num_resamples: int = NUM_RESAMPLES) -> Band:
    """Returns the mean over seeds with the percentile interval of its bootstrap (Efron 1979).

    Args:
      *samples: float[S, ...], seeds first, such as curves float[S, N]. Of several tasks it is the mean of their means,
        and each task is resampled by itself.
      level: share of the resampled means that the interval holds.
      num_resamples: resamples of the seeds. They are always the same ones.

    Returns:
      A `Band` of values of shape [...]: NaN where a seed's value is not finite, and as wide as nothing where there
      is one seed.

    Raises:
      ValueError: there is no seed, or no task, or `level` is not between 0 and 1.
    """
    return _bootstrapped(samples, _mean_of_all, level=level, num_resamples=num_resamples)


def interquartile_mean(*samples: np.ndarray, level: float = LEVEL, num_resamples: int = NUM_RESAMPLES) -> Band:
    """Returns the mean of the middle half of all values, with the percentile interval of its bootstrap.

    The interquartile mean of arXiv:2108.13264, section 4.3: less moved by single seeds than a mean, and less blind to
    most of them than a median.

    Args:
      *samples: float[S, ...], one for each task (dataset), on one scale. Each is resampled by itself.
      level: share of the resampled values that the interval holds.
      num_resamples: resamples.

    Returns:
      As `mean`.

    Raises:
      ValueError: as `mean`.
    """
    return _bootstrapped(samples, _trimmed_mean_of_all, level=level, num_resamples=num_resamples)


def median(values: np.ndarray) -> Band:
    """Returns the median over seeds of float[S, ...] and the quartiles; half of the seeds lie between these.

    Values may be infinite (a target never reached): a quantile that lies between two values of which one is infinite
    is infinite.

    Raises:
      ValueError: there is no seed.
    """
    values = _checked(values)
    ordered = np.sort(values, axis=0)
    return Band(*(_quantile(ordered, quantile) for quantile in (0.5, 0.25, 0.75)))


def _quantile(ordered, quantile):
    """By linear interpolation, NumPy's default, which makes NaN of infinities."""
    place = quantile * (len(ordered) - 1)
    below, share = int(place), place - int(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    with np.errstate(invalid="ignore"):
        between = np.where(low == high, low, low + share * (high - low))
    return _plain(low if share == 0 else between)


def _bootstrapped(samples, statistic, *, level, num_resamples):
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    if not samples:
        raise ValueError("give the values of at least one task")
    samples = [_checked(values) for values in samples]
    is_known = np.all([np.all(np.isfinite(values), axis=0) for values in samples], axis=0)
    samples = [np.where(is_known, values, 0.0) for values in samples]
    center = statistic(*samples, axis=0)
    low = high = center
    if all(len(values) > 1 for values in samples):
        found = stats.bootstrap(
            samples,
            statistic,
            axis=0,
            confidence_level=level,
            n_resamples=num_resamples,
            batch=_BATCH,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        low, high = found.confidence_interval
    return Band(*(_plain(np.where(is_known, values, np.nan)) for values in (center, low, high)))


def _mean_of_all(*samples, axis):
    return np.mean([np.mean(values, axis=axis) for values in samples], axis=0)


def _trimmed_mean_of_all(*samples, axis):
    return stats.trim_mean(np.concatenate(samples, axis=axis), 0.25, axis=axis)


def _checked(values):
    values = np.asarray(values, np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"values need a first axis of at least one seed; got an array of shape {values.shape}")
    return values


def _plain(values):
    return float(values) if np.ndim(values) == 0 else np.asarray(values)
