"""The history of a search on the host: NumPy arrays that are filled in place."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import objectives as objectives_lib
from common import types
from common.records import journal_events, measurements


class HostHistory:
    """A history, `arrays` of NumPy, that grows by rounds of rows and takes results as they arrive."""

    def __init__(self, capacity: int, num_decisions: int, objectives: objectives_lib.Objectives):
        """Makes an empty history."""
        self._objectives = objectives
        self.arrays = jax.tree.map(np.array, history_lib.empty(capacity, num_decisions, len(objectives)))
        self._known = np.array(self.arrays.others)  # of all rows, with NaN in place of measured values

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.arrays.size)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another row."""
        return self.size == len(self.arrays.status)

    def on_device(self) -> history_lib.History:
        """Returns a copy as JAX arrays."""
        return jax.tree.map(jnp.array, self.arrays)

    def add_earlier(self, earlier: measurements.Measurements) -> None:
        """Appends measurements; raises a `ValueError` if they lack the value of an objective."""
        if self._objectives.measured:
            raise ValueError(
                f"earlier measurements do not hold {', '.join(self._objectives.measured)}, which is measured with "
                "the fitness; leave them out"
            )
        at, is_measured = self.add_pending(earlier.archs), np.isfinite(earlier.fitness)
        self.arrays.fitness[at], self.arrays.cost[at] = earlier.fitness, earlier.cost
        self.arrays.status[at] = np.where(is_measured, types.MEASURED, types.INFEASIBLE)
        self.arrays.others[at] = np.where(is_measured[:, None], self._known[at], np.nan)

    def add_pending(self, archs: np.ndarray) -> np.ndarray:
        """Appends int32[B, L] `archs` as pending, as many as there is room for; returns their positions."""
        at = np.arange(self.size, min(self.size + len(archs), len(self.arrays.status)))
        archs = archs[: len(at)]
        self.arrays.archs[at], self.arrays.status[at] = archs, types.PENDING
        if len(self._objectives) > 1:
            self._known[at] = objectives_lib.known(self._objectives, archs)
        self.arrays.size[...] += len(at)
        return at

    def take(self, at: int, result: journal_events.Result | None) -> None:
        """Enters the result of a row; None: it is pending again."""
        if result is None:
            self.arrays.status[at], self.arrays.cost[at] = types.PENDING, 0.0
            return
        self.arrays.fitness[at], self.arrays.cost[at] = result.fitness, result.cost
        self.arrays.status[at] = types.MEASURED if result.ok else types.INFEASIBLE
        if result.ok:
            self.arrays.others[at] = objectives_lib.of_row(self._objectives, self._known[at], result.costs)

    def checked(self, outcomes: Sequence[types.Outcome]) -> list[types.Outcome]:
        """Returns outcomes with the values of all objectives, infeasible where one of them is not finite.

        Raises:
          ValueError: a fitness is not a fraction in [0, 1], or the value of an objective is missing.
        """
        types.check_fitness([outcome.fitness for outcome in outcomes if outcome.ok])
        return [self._checked(outcome) if outcome.ok else outcome for outcome in outcomes]

    def _checked(self, outcome):
        if missing := [name for name in self._objectives.measured if name not in outcome.costs]:
            raise ValueError(f"the results lack {missing[0]}, an objective; give it with the fitness: costs={{...}}")
        values = objectives_lib.of_row(self._objectives, self._known[outcome.at], outcome.costs)
        signed = zip(self._objectives.names[1:], self._objectives.signs[1:], values.tolist())
        outcome = outcome._replace(costs={name: sign * value for name, sign, value in signed} | dict(outcome.costs))
        wrong = [name for name, value in zip(self._objectives.names[1:], values) if not np.isfinite(value)]
        return outcome._replace(ok=False, reason=f"its {wrong[0]} is not finite") if wrong else outcome


def outcomes(
    pending: Mapping[tuple[int, ...], int],
    num_decisions: int,
    archs: Any,
    *,
    fitness: Any,
    cost: Any,
    ok: Any,
    costs: Mapping[str, Any] | None,
) -> list[types.Outcome]:
    """Returns results as outcomes.

    Args:
      pending: the rows of the history by architecture.
      num_decisions: L.
      archs: int[B, L], with `fitness`, `cost`, `ok` and `costs` as `common.ask_tell.Search.tell` takes them.

    Raises:
      ValueError: a shape or value is wrong, or an architecture is not pending.
    """
    archs, fitness = np.asarray(archs), np.asarray(fitness, float)
    if archs.ndim != 2 or archs.shape[1] != num_decisions or not np.issubdtype(archs.dtype, np.integer):
        raise ValueError(f"archs must be int[B, {num_decisions}]; got {archs.dtype}{list(archs.shape)}")
    cost = np.zeros(len(archs)) if cost is None else np.asarray(cost, float)
    ok = ~np.isnan(fitness) if ok is None else np.array(ok, bool)
    costs = {name: np.asarray(values, float) for name, values in (costs or {}).items()}
    for name, values in (("fitness", fitness), ("cost", cost), ("ok", ok), *costs.items()):
        if values.shape != (len(archs),):
            raise ValueError(f"{name} must have the shape [{len(archs)}], as archs do; got {list(values.shape)}")
    ok &= ~np.isnan(fitness)
    if wrong := [value for value in cost.tolist() if not value >= 0]:
        raise ValueError(f"cost must be seconds, not negative; got {wrong[0]:g}")
    archs = [tuple(arch) for arch in archs.tolist()]
    for at, arch in enumerate(archs):
        if arch not in pending or arch in archs[:at]:
            raise ValueError(f"{list(arch)} is not pending; call tell once for each architecture returned by ask")
    results = enumerate(zip(archs, fitness.tolist(), cost.tolist(), ok.tolist()))
    return [
        types.Outcome(pending[arch], *result, costs={name: float(costs[name][row]) for name in costs})
        for row, (arch, *result) in results
    ]
