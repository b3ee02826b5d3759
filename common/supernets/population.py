"""Pool of a search on shared weights: its architectures, all earlier ones, and the file of its events."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import types
from common.records import json_lines, measurements
from common.spaces import factory

POOLS = "pools.jsonl"


class Pool:
    """The architectures of a pool and their newest scores, among all that were ever in it.

    Attributes:
      scores: float32[P], not finite for architectures without a score.
    """

    def __init__(self, space: types.SearchSpace, capacity: int):
        """Makes an empty pool, which takes `capacity` architectures over time."""
        self._space = space
        self._rows = np.full((capacity, len(space.num_choices)), -1, np.int32)
        self._num = 0
        self._places = np.zeros((0,), int)  # of the pool in `_rows`
        self.scores = np.zeros((0,), np.float32)

    @property
    def archs(self) -> np.ndarray:
        """The architectures in the pool, int32[P, L]."""
        return self._rows[self._places]

    def best(self, count: int) -> np.ndarray:
        """Returns int32[count], the indices of the best in the pool, best first; of equal ones the earlier first."""
        return np.argsort(np.where(np.isfinite(self.scores), -self.scores, np.inf), kind="stable")[:count]

    def keep(self, count: int) -> None:
        """Keeps the best `count` in the pool, best first."""
        kept = self.best(count)
        self._places, self.scores = self._places[kept], self.scores[kept]

    def add(self, archs: np.ndarray) -> None:
        """Adds int32[B, L] `archs`, without scores.

        Raises:
          ValueError: a row is not valid, not canonical, or was in the pool before.
        """
        factory.check_rows(archs, self._space)
        places = np.arange(self._num, self._num + len(archs))
        self._rows[places] = archs
        self._num += len(archs)
        if len(np.unique(self._rows[: self._num], axis=0)) != self._num:
            raise ValueError(
                f"of {len(archs)} architectures for the pool some are equal, or were in it before; lower num_new or "
                "num_random"
            )
        self._places = np.append(self._places, places)
        self.scores = np.append(self.scores, np.full(len(archs), np.nan, np.float32))

    def history(self) -> history_lib.History:
        """Returns all architectures that were ever in the pool, in order; those with a score are the measured rows."""
        fitness, status = (np.full(len(self._rows), value) for value in (np.float32(np.nan), np.int32(types.EMPTY)))
        status[: self._num] = types.INFEASIBLE
        is_measured = np.isfinite(self.scores)
        fitness[self._places[is_measured]] = self.scores[is_measured]
        status[self._places[is_measured]] = types.MEASURED
        return history_lib.empty(*self._rows.shape).replace(
            archs=jnp.array(self._rows), fitness=jnp.array(fitness), status=jnp.array(status), size=jnp.int32(self._num)
        )


class Record:
    """The pool of every block and its scores, in memory and, if there is a file, on disk.

    Attributes:
      pools: int32[P, L] of each block.
      scores: float32[P] of each scored block.
    """

    def __init__(self, file: BinaryIO | None = None, events: Iterable[Mapping[str, Any]] = ()):
        """Takes the `events` that `file` holds after its first line; later ones are appended to it."""
        self.pools: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self._file = file
        json_lines.take_each(file, events, self._apply)

    def write_pool(self, archs: np.ndarray) -> None:
        """Records int32[P, L], the pool of the next block."""
        self._write({"event": "pool", "block": len(self.pools), "archs": archs.tolist()})

    def write_scores(self, scores: np.ndarray) -> None:
        """Records float32[P], the scores of the last pool."""
        values = [value if math.isfinite(value) else None for value in scores.tolist()]
        self._write({"event": "scored", "block": len(self.scores), "scores": values})

    def _write(self, event):
        if self._file is not None:
            json_lines.append(self._file, [event])
        self._apply(event)

    def _apply(self, event):
        """Applies one event, as written; an error says what is wrong with it."""
        is_pool = event["event"] == "pool"
        if not is_pool and event["event"] != "scored":
            raise ValueError(f"unknown event {event['event']!r}")
        if len(self.pools) - len(self.scores) != (0 if is_pool else 1) or event["block"] != len(self.scores):
            raise ValueError(f"{event['event']} of block {event['block']} cannot follow {len(self.scores)} blocks")
        if is_pool:
            self.pools.append(measurements.rows_of(event["archs"]))
            return
        scores = np.array([math.nan if value is None else value for value in event["scores"]], np.float32)
        check_scores(scores, len(self.pools[-1]))
        self.scores.append(scores)


def check_scores(scores: np.ndarray, count: int) -> None:
    """Raises a `ValueError` unless float32[count] `scores` are fractions where finite, and one is."""
    if scores.shape != (count,):
        raise ValueError(f"scores of {count} architectures have the shape ({count},); got {scores.shape}")
    finite = scores[np.isfinite(scores)]
    if not finite.size:
        raise ValueError(f"none of {count} architectures has a score: training diverged; lower the learning rate")
    if np.any((finite < 0) | (finite > 1)):
        raise ValueError(f"scores are fractions from 0 to 1; got {finite.min():g} to {finite.max():g}")
