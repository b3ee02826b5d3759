"""Comparison of algorithms over seeds: probability of improvement and significance tests."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from common import config as configs
from common.statistics import intervals


class Comparison(NamedTuple):
    """Two algorithms on one benchmark.

    Attributes:
      first, second: their names.
      improvement: the probability that a search of the first does better than one of the second, with its interval.
      p_value: of the two-sided test.
      adjusted: the p-value corrected for the number of comparisons by Holm's method.
    """

    first: str
    second: str
    improvement: intervals.Band
    p_value: float
    adjusted: float

    def to_json(self) -> dict[str, Any]:
        """Returns the fields for study.json."""
        return {**self._asdict(), "improvement": list(self.improvement)}


def compare(
    samples: Mapping[str, np.ndarray], *, is_larger_better: bool = True, test: str = "mann_whitney"
) -> list[Comparison]:
    """Returns the comparisons of all pairs of algorithms.

    Args:
      samples: for each algorithm float[S], one value per seed; infinite if a target was never reached.
      is_larger_better: false where smaller values are better, such as queries.
      test: "mann_whitney" for independent seeds; "wilcoxon" for paired seeds, whose values must be finite and equal in
        number.

    Raises:
      ValueError: the test is unknown, or it does not accept the values.
    """
    configs.one_of("test", test, TESTS)
    sign = 1.0 if is_larger_better else -1.0
    signed = {name: sign * _checked(name, values) for name, values in samples.items()}
    pairs = list(itertools.combinations(signed, 2))
    p_values = [TESTS[test](signed[first], signed[second]) for first, second in pairs]
    return [
        Comparison(first, second, improvement(signed[first], signed[second]), p_value, adjusted)
        for (first, second), p_value, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def improvement(first: np.ndarray, second: np.ndarray) -> intervals.Band:
    """Returns `improvement_across` of one task: float[S], larger is better, and float[R]."""
    return improvement_across([first], [second])


def improvement_across(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> intervals.Band:
    """Returns the mean over tasks of the probability that a value of the first is larger than one of the second.

    Over all pairs of seeds, of which ties count half (Mann and Whitney's U over the number of pairs), with the
    percentile interval of its bootstrap, in which the seeds of each algorithm on each task are resampled separately
    (arXiv:2108.13264, section 4.3). Tasks have the same weight, and their values need no common scale.

    Args:
      first: for each task float[S], larger is better.
      second: for the same tasks float[R].

    Raises:
      ValueError: there is no task, or the numbers of tasks differ.
    """
    if not len(first) or len(first) != len(second):
        raise ValueError(f"give values of the same tasks, at least one; got {len(first)} and {len(second)}")
    generator = np.random.default_rng(0)
    center, resampled = 0.0, np.zeros(intervals.NUM_RESAMPLES)
    for one, other in zip(first, second):
        # For each pair 0, 1 (a tie) or 2. Only the order matters, and ranks are finite.
        ranks = stats.rankdata(np.concatenate([one, other]))
        wins = 1 + np.sign(ranks[: len(one), None] - ranks[None, len(one) :])
        center += np.mean(wins) / 2
        # The number of times each seed is drawn determines a resample, which makes it a matrix product.
        counts = [_counts(generator, size) for size in wins.shape]
        resampled += np.sum((counts[0] @ wins) * counts[1], axis=1) / (2 * wins.size)
    low, high = np.quantile(resampled / len(first), intervals.ENDS)
    return intervals.Band(float(center / len(first)), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for multiple comparisons: S. Holm, Scandinavian Journal of Statistics 6, 1979.

    The smallest is multiplied by their number, the next by one less, and so on; the results are made monotonic and at
    most 1.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def _counts(generator, size):
    """Returns float[resamples, size], how often each seed occurs in each resample."""
    num = intervals.NUM_RESAMPLES
    drawn = generator.integers(size, size=(num, size)) + size * np.arange(num)[:, None]
    return np.bincount(drawn.ravel(), minlength=num * size).reshape(num, size).astype(float)


def _mann_whitney(first, second):
    return float(stats.mannwhitneyu(first, second, alternative="two-sided").pvalue)


def _wilcoxon(first, second):
    if len(first) != len(second) or not np.all(np.isfinite([first, second])):
        raise ValueError(f"wilcoxon takes finite values in pairs; got {len(first)} and {len(second)} values")
    if np.array_equal(first, second):
        return 1.0  # no pair differs
    return float(stats.wilcoxon(first, second, alternative="two-sided").pvalue)


def _checked(name, values):
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or np.any(np.isnan(values)):
        raise ValueError(f"{name} needs one number per seed, at least one; got shape {values.shape}, or NaN in it")
    return values


TESTS = {"mann_whitney": _mann_whitney, "wilcoxon": _wilcoxon}
