"""What it takes to reach a target: queries, and seconds of training."""

import numpy as np

from common import metrics


def queries_to(best: np.ndarray, target: float) -> np.ndarray:
    """Returns float64[S], after how many queries each search has reached `target`; inf if it never has.

    Args:
      best: float[S, N], the best fitness so far after each query.
      target: a fitness; a value may be below it by `metrics.VALUE_TOLERANCE`.
    """
    is_reached = np.asarray(best) >= target - metrics.VALUE_TOLERANCE
    return np.where(np.any(is_reached, axis=1), np.argmax(is_reached, axis=1) + 1.0, np.inf)


def seconds_to(best: np.ndarray, cost: np.ndarray, target: float) -> np.ndarray:
    """Returns float64[S], after how many seconds of training each search has reached `target`; inf if it never has.

    Args:
      best: as in `queries_to`.
      cost: float[S, N], seconds of training of each query, one after another.
      target: a fitness.
    """
    queries = queries_to(best, target)
    spent = np.cumsum(np.asarray(cost, np.float64), axis=1)
    last = np.where(np.isfinite(queries), queries, 1).astype(int) - 1
    return np.where(np.isfinite(queries), np.take_along_axis(spent, last[:, None], axis=1)[:, 0], np.inf)
