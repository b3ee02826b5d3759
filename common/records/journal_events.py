"""Fields of the lines of a journal, and their checks."""

import math
from collections.abc import Mapping
from typing import Any

from common import types
from common.records import measurements


def measured_event(outcome: types.Outcome) -> dict[str, Any]:
    """Returns the `measured` line of an outcome."""
    ok = bool(outcome.ok) and math.isfinite(outcome.fitness)
    cost = float(outcome.cost) if math.isfinite(outcome.cost) else None
    event = {"event": "measured", "at": int(outcome.at), "fitness": float(outcome.fitness) if ok else None}
    reason = {"reason": outcome.reason} if outcome.reason else {}
    costs = {name: value if math.isfinite(value) else None for name, value in outcome.costs.items()}
    return {**event, "cost": cost, "ok": ok, **({"costs": costs} if costs else {}), **reason}


def costs_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Returns the measured costs of a `measured` line by name, NaN where unknown."""
    costs = event.get("costs", {})
    if not isinstance(costs, dict):
        raise ValueError(f"costs is {costs!r:.60}, not numbers by name")
    return {name: math.nan if value is None else number(value, name) for name, value in costs.items()}


def check_range(fitness: float, cost: float) -> None:
    """Raises a `ValueError` if a result, NaN where unknown, cannot be."""
    if fitness < 0 or fitness > 1:
        raise ValueError(f"fitness is {fitness:g}, not a fraction from 0 to 1")
    if cost < 0:
        raise ValueError(f"cost is {cost:g}, not seconds from 0 up")


def earlier_fields(earlier: measurements.Measurements) -> dict[str, Any]:
    """Returns the fields of the `earlier` line of warm-start measurements."""

    def finite(values):
        return [value if math.isfinite(value) else None for value in values.tolist()]

    return {"archs": earlier.archs.tolist(), "fitness": finite(earlier.fitness), "cost": finite(earlier.cost)}


def number(value: Any, name: str) -> float:
    """Returns a finite number of a line, or raises a `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r:.60}, not a number")
    return float(value)
