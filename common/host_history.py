"""The history of a search on the host, in step with its journal."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import types
from common.records import journal as journal_lib


class HostHistory:
    """A history on the host: every round and result is written to the journal before it is acted on.

    Rounds in the journal of an earlier run are replayed, each with the results that were known when it was proposed.

    Attributes:
      num_rounds: rounds so far.
      num_open: rows without a result.
      pending: row by architecture, of the open rows whose results are not in the journal either.
      seconds: time of the latest result since the search began, earlier runs included.
    """

    def __init__(self, journal: journal_lib.Journal, space: types.SearchSpace, *, budget: int):
        """Makes a history with the warm-start measurements of the journal and room for `budget` more.

        Raises:
          ValueError: the journal has more results than `budget`.
        """
        journal.check_budget(budget)
        self._journal, self._space = journal, space
        first = 0 if journal.earlier is None else len(journal.earlier.archs)
        empty = history_lib.empty(first + budget, len(space.num_choices))
        self._rows = {name: np.array(empty[name]) for name in ("archs", "fitness", "cost", "status")}
        self._size = first
        if first:
            is_measured = np.isfinite(journal.earlier.fitness)
            status = np.where(is_measured, types.MEASURED, types.INFEASIBLE)
            for name, values in (*journal.earlier._asdict().items(), ("status", status)):
                self._rows[name][:first] = values
        self._recorded = list(journal.measured)  # rows in the order of the journal, of which
        self._num_taken = 0  # are in the history.
        self.num_rounds, self.num_open, self.seconds = 0, 0, 0.0
        self.pending: dict[tuple[int, ...], int] = {}

    @property
    def is_full(self) -> bool:
        """Whether the whole budget has been proposed."""
        return self._size == len(self._rows["status"])

    @property
    def is_replaying(self) -> bool:
        """Whether the journal holds the next round."""
        return not self.is_full and self.num_rounds in self._journal.proposed

    def arrays(self) -> history_lib.History:
        """Returns a copy of the history as it is now."""
        rows = {name: jnp.array(values) for name, values in self._rows.items()}
        return history_lib.History(**rows, size=jnp.array(self._size, jnp.int32))

    def arch(self, row: int) -> np.ndarray:
        """Returns int32[L], the architecture of a row."""
        return self._rows["archs"][row].copy()

    def add_round(self, archs: np.ndarray) -> np.ndarray:
        """Appends int32[count, L] `archs`, or the journal's rows of the round, as pending.

        Returns:
          int32[B, L], those within the budget whose results are not in the journal.

        Raises:
          ValueError: the journal holds a round of another search.
        """
        agreed = self._journal.agree(self.num_rounds, archs)
        if np.any(agreed != archs):
            self._check(agreed)
        self.num_rounds += 1
        at = np.arange(self._size, min(self._size + len(agreed), len(self._rows["status"])))
        self._rows["archs"][at] = agreed[: len(at)]
        self._rows["status"][at] = types.PENDING
        self._size += len(at)
        self.num_open += len(at)
        missing = [row for row in at.tolist() if row not in self._journal.measured]
        archs = self._rows["archs"][missing]
        self.pending |= dict(zip(map(tuple, archs.tolist()), missing))
        return archs

    def tell(self, archs: Any, fitness: Any, cost: Any, ok: Any) -> None:
        """Records results that a caller measured, validated; see `common.search.Search.tell`."""
        num_decisions = self._rows["archs"].shape[1]
        archs, fitness = np.asarray(archs), np.asarray(fitness, float)
        if archs.ndim != 2 or archs.shape[1] != num_decisions or not np.issubdtype(archs.dtype, np.integer):
            raise ValueError(f"archs must be int[B, {num_decisions}]; got {archs.dtype}{list(archs.shape)}")
        cost = np.zeros(len(archs)) if cost is None else np.asarray(cost, float)
        ok = ~np.isnan(fitness) if ok is None else np.array(ok, bool)
        for name, values in (("fitness", fitness), ("cost", cost), ("ok", ok)):
            if values.shape != (len(archs),):
                raise ValueError(f"{name} must have the shape [{len(archs)}], as archs do; got {list(values.shape)}")
        ok &= ~np.isnan(fitness)
        if wrong := [value for value in cost.tolist() if not value >= 0]:
            raise ValueError(f"cost must be seconds, not negative; got {wrong[0]:g}")
        archs = [tuple(arch) for arch in archs.tolist()]
        for at, arch in enumerate(archs):
            if arch not in self.pending or arch in archs[:at]:
                raise ValueError(f"{list(arch)} is not pending; call tell once for each architecture returned by ask")
        outcomes = zip(archs, fitness.tolist(), cost.tolist(), ok.tolist())
        self.record([types.Outcome(self.pending[arch], *values) for arch, *values in outcomes])

    def record(self, outcomes: Sequence[types.Outcome]) -> None:
        """Records results of pending rows; a `ValueError` if a fitness is not a fraction in [0, 1]."""
        types.check_fitness([outcome.fitness for outcome in outcomes if outcome.ok])
        self._journal.write_measured(outcomes)
        for outcome in outcomes:
            del self.pending[tuple(self._rows["archs"][outcome.at].tolist())]
        self._recorded += [outcome.at for outcome in outcomes]
        self.take()

    def take(self) -> None:
        """Enters all results into the history; in a replay, those that were known when the next round was proposed."""
        known = self._journal.num_known[self.num_rounds] if self.is_replaying else len(self._recorded)
        for at in self._recorded[self._num_taken : known]:
            self._num_taken += 1
            result = self._journal.measured[at]
            self._rows["fitness"][at] = result.fitness
            self._rows["cost"][at] = result.cost
            self._rows["status"][at] = types.MEASURED if result.ok else types.INFEASIBLE
            self.num_open -= 1
            self.seconds = max(self.seconds, result.seconds)

    def _check(self, archs):
        """Raises a `ValueError` unless `archs` of the journal are of the space."""
        is_in_range = np.all((archs >= 0) & (archs < np.array(self._space.num_choices)))
        if not is_in_range or not np.all(self._space.is_valid(archs)):
            raise ValueError(
                f"round {self.num_rounds} of the journal has rows that are not architectures of {self._space.name}; "
                "restore the file or start in a fresh folder"
            )
