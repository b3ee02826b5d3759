"""Fields of the lines of a journal, and their checks."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from common import types
from common.records import measurements


class Result(NamedTuple):
    """One result: fitness (NaN unless `ok`), cost in seconds, reason of a failure, time since the search began in s.

    `costs` are further measured numbers by name, `error` the type of the exception that was raised, if one was.
    """

    fitness: float
    cost: float
    ok: bool
    reason: str
    seconds: float
    costs: Mapping[str, float]
    error: str = ""


def measured_event(outcome: types.Outcome) -> dict[str, Any]:
    """Returns the `measured` line of an outcome."""
    ok = bool(outcome.ok) and math.isfinite(outcome.fitness)
    cost = float(outcome.cost) if math.isfinite(outcome.cost) else None
    event = {"event": "measured", "at": int(outcome.at), "fitness": float(outcome.fitness) if ok else None}
    reason = {name: value for name in ("reason", "error") if (value := getattr(outcome, name))}
    costs = {name: value if math.isfinite(value) else None for name, value in outcome.costs.items()}
    return {**event, "cost": cost, "ok": ok, **({"costs": costs} if costs else {}), **reason}


def result_of(event: Mapping[str, Any], seconds: float) -> Result:
    """Returns the result of a `measured` line, or raises a `ValueError`."""
    fitness, cost = (math.nan if event[name] is None else number(event[name], name) for name in ("fitness", "cost"))
    ok, reason, error = event["ok"], event.get("reason", ""), event.get("error", "")
    is_text = isinstance(reason, str) and isinstance(error, str)
    if not isinstance(ok, bool) or not is_text or ok != math.isfinite(fitness) or (ok and error):
        texts = f"reason {reason!r:.60}, error {error!r:.60}"
        raise ValueError(f"ok is {ok!r:.60}, {texts}, fitness {event['fitness']!r:.60}")
    check_range(fitness, cost)
    return Result(fitness, cost, ok, reason, seconds, _costs_of(event), error)


def _costs_of(event):
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
