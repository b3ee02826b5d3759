"""The journal of a search: every event, on disk before it is acted on.

A file of `json_lines`. The first line identifies the search; an optional `earlier` line holds the warm-start
measurements, a `proposed` line the rows of one round, a `measured` line one result. Lines are in the order in which
the results became known, which a replay follows.

  {"format": 1, "header": {"space": "nasbench201", "seed": 0, ...}}
  {"event": "earlier", "archs": [[0, 1, 1, 4, 2, 2], ...], "fitness": [0.87, ...], "cost": [...], "seconds": 0.0}
  {"event": "proposed", "round": 0, "archs": [[0, 3, 1, 4, 2, 2], ...], "seconds": 0.51}
  {"event": "measured", "at": 0, "fitness": 0.9142, "cost": 1380.2, "ok": true, "seconds": 0.52}
  {"event": "measured", "at": 1, "fitness": null, "cost": 0.0, "ok": false, "reason": "...", "seconds": 0.60}

Values of further objectives, and costs that were measured with the fitness, are numbers of a `measured` line by name:
"costs": {"latency": 0.003}. The line of an evaluation that raised an exception has its type: "error": "TypeError". Such
rows may be evaluated again after a line {"event": "retried", "rows": [0, 1, 2], "seconds": 9.81}.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from absl import logging

from common import types
from common.records import journal_events as fields
from common.records import json_lines, measurements


class Journal:
    """Proposals and results so far, in memory and, if it has a file, on disk.

    Attributes:
      earlier: warm-start measurements, the first rows of the history; None if there are none.
      proposed: round -> int32[count, L].
      num_known: round -> number of results known when it was proposed.
      measured: index in the history -> its result.
      results: [(index in the history, its result)] in order of arrival; None in place of a result that is retried.
    """

    def __init__(self, file: BinaryIO | None = None, events: Iterable[Mapping[str, Any]] = ()):
        """Reads `events`, the lines of `file` after its first; later events are appended to the file."""
        self.earlier: measurements.Measurements | None = None
        self.proposed: dict[int, np.ndarray] = {}
        self.num_known: dict[int, int] = {}
        self.measured: dict[int, fields.Result] = {}
        self.results: list[tuple[int, fields.Result | None]] = []
        self._file = file
        self._rows: set[tuple[int, ...]] = set()
        self._seconds = 0.0
        self._resources = contextlib.ExitStack()
        json_lines.take_each(file, events, self._apply)
        self._start = time.monotonic() - self._seconds

    def write_proposed(self, round_: int, archs: np.ndarray) -> None:
        """Records the proposal of a round, int32[count, L]."""
        self._check_new(list(map(tuple, np.asarray(archs).tolist())))
        self._write([{"event": "proposed", "round": round_, "archs": np.asarray(archs).tolist()}])

    def write_measured(self, outcomes: Sequence[types.Outcome]) -> None:
        """Records results of proposed rows."""
        events = [fields.measured_event(outcome) for outcome in outcomes]
        for event in events:
            fields.check_range(*(math.nan if event[name] is None else event[name] for name in ("fitness", "cost")))
        self._write(events)

    def retry_failed(self) -> int:
        """Drops the results of evaluations that raised an exception, so that they run again; returns their number."""
        rows = [at for at, result in self.measured.items() if result.error]
        if rows:
            self._write([{"event": "retried", "rows": rows}])
        return len(rows)

    def agree_on_earlier(self, earlier: measurements.Measurements | None) -> measurements.Measurements | None:
        """Returns the recorded warm-start measurements; if there are none, records and returns `earlier`.

        Raises:
          ValueError: the search started with other measurements, or with none.
        """
        if earlier is None or not len(earlier.archs):
            return self.earlier
        if self.earlier is None and not self.proposed:
            self._write([{"event": "earlier", **fields.earlier_fields(earlier)}])
        if self.earlier is None or fields.earlier_fields(self.earlier) != fields.earlier_fields(earlier):
            began = "none" if self.earlier is None else f"{len(self.earlier.archs)}, of which some differ"
            raise ValueError(
                f"the journal is of a search that started with other earlier measurements ({began}) than the "
                f"{len(earlier.archs)} given; resume without them, or start in a fresh folder"
            )
        return self.earlier

    def fitness_by_row(self) -> dict[tuple[int, ...], float]:
        """Returns architecture -> fitness, NaN where infeasible, of all results and warm-start measurements."""
        known = {} if self.earlier is None else self.earlier.fitness_by_row()
        rows = [row for archs in self.proposed.values() for row in map(tuple, archs.tolist())]
        return known | {rows[at - len(known)]: result.fitness for at, result in self.measured.items()}

    def check_budget(self, budget: int) -> None:
        """Raises a `ValueError` if the journal has results beyond `budget`, which the search would leave out."""
        num_earlier = 0 if self.earlier is None else len(self.earlier.archs)
        if (num_measured := max(self.measured, default=-1) + 1 - num_earlier) > budget:
            raise ValueError(
                f"budget is {budget}, and the search has {num_measured} evaluations already; resume it with a budget "
                f"of at least {num_measured} (--budget={num_measured}), or start in a fresh folder"
            )

    def agree(self, round_: int, archs: np.ndarray) -> np.ndarray:
        """Returns the recorded proposal of a round; if there is none, records and returns int32[count, L] `archs`.

        Raises:
          ValueError: the journal is of a search with another `count`.
        """
        if round_ not in self.proposed:
            self.write_proposed(round_, archs)
        recorded = self.proposed[round_]
        if recorded.shape[1] != archs.shape[1]:
            raise ValueError(
                f"the journal is of architectures of {recorded.shape[1]} decisions, not {archs.shape[1]}; start in a "
                "fresh folder"
            )
        if recorded.shape != archs.shape:
            raise ValueError(
                f"the journal is of a search with {len(recorded)} architectures a round; got count = {len(archs)}; "
                f"resume with {len(recorded)}, or start in a fresh folder"
            )
        if np.any(recorded != archs):
            # Other hardware or another version rounds differently. The results remain valid.
            logging.warning(
                "Round %d would be proposed differently now; the search continues from the journal.", round_
            )
        return recorded

    def close(self) -> None:
        """Closes the file and releases its lock."""
        self._resources.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _write(self, events):
        seconds = round(time.monotonic() - self._start, 3)
        events = [{**event, "seconds": seconds} for event in events]
        if self._file is not None:
            json_lines.append(self._file, events)
        for event in events:
            self._apply(event)

    def _apply(self, event):
        """Applies one event; an error says what is wrong with it."""
        seconds = fields.number(event["seconds"], "seconds")
        if event["event"] == "proposed":
            self._apply_proposed(event)
        elif event["event"] == "measured":
            self._apply_measured(event, seconds)
        elif event["event"] == "retried":
            self._apply_retried(event)
        elif event["event"] == "earlier":
            self._apply_earlier(event)
        else:
            raise ValueError(f"unknown event {event['event']!r:.60}")
        self._seconds = max(self._seconds, seconds)

    def _apply_proposed(self, event):
        archs = measurements.rows_of(event["archs"])
        if type(event["round"]) is not int or event["round"] != len(self.proposed):
            raise ValueError(f"round {event['round']!r:.60} cannot follow {len(self.proposed)} rounds")
        self._add_rows(archs)
        self.num_known[len(self.proposed)] = len(self.results)
        self.proposed[len(self.proposed)] = archs

    def _apply_measured(self, event, seconds):
        at, first = event["at"], 0 if self.earlier is None else len(self.earlier.archs)
        if type(at) is not int or at in self.measured or not first <= at < len(self._rows):
            raise ValueError(f"row {at!r:.60} of {len(self._rows)} is measured twice or was not proposed")
        self.measured[at] = fields.result_of(event, seconds)
        self.results.append((at, self.measured[at]))

    def _apply_retried(self, event):
        rows = event["rows"]
        if not isinstance(rows, list) or not all(type(at) is int and at in self.measured for at in rows):
            raise ValueError(f"rows {rows!r:.60} are retried and were not evaluated")
        if len(set(rows)) < len(rows) or not all(self.measured[at].error for at in rows):
            raise ValueError(f"rows {rows!r:.60} are retried and did not all raise an exception, or are there twice")
        for at in rows:
            del self.measured[at]
            self.results.append((at, None))

    def _apply_earlier(self, event):
        if self.proposed or self.earlier is not None:
            raise ValueError("earlier measurements must come once, before all other events")
        archs = measurements.rows_of(event["archs"])
        fitness, cost = (
            np.array([math.nan if value is None else fields.number(value, name) for value in event[name]], np.float32)
            for name in ("fitness", "cost")
        )
        if not len(archs) == len(fitness) == len(cost):
            raise ValueError(f"{len(archs)} architectures, {len(fitness)} values of fitness and {len(cost)} of cost")
        for values in zip(fitness.tolist(), cost.tolist()):
            fields.check_range(*values)
        self._add_rows(archs)
        self.earlier = measurements.Measurements(archs=archs, fitness=fitness, cost=cost)

    def _add_rows(self, archs):
        """Adds rows of the history, which are of one length and all different."""
        rows = list(map(tuple, archs.tolist()))
        self._check_new(rows)
        self._rows.update(rows)

    def _check_new(self, rows):
        if len(set(rows)) < len(rows) or not self._rows.isdisjoint(rows):
            repeated = next(row for at, row in enumerate(rows) if row in self._rows or row in rows[:at])
            raise ValueError(f"the architecture {list(repeated)} was proposed before")
        if self._rows and len(rows[0]) != len(next(iter(self._rows))):
            raise ValueError(f"architectures of {len(rows[0])} decisions follow those of {len(next(iter(self._rows)))}")


def open_journal(path: str | os.PathLike, header: Mapping[str, Any]) -> Journal:
    """Opens or creates the journal at `path`, with the events of earlier runs, and locks it until it is closed.

    Args:
      path: the file; its folder must exist.
      header: JSON types that identify the search: space, seed, configuration. Only a search with the same header can
        resume from the journal.

    Raises:
      ValueError: the journal is of another search, of another format, damaged, or in use.
      OSError: the folder cannot be written, or its disk is full.
    """
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(json_lines.opened(path, header, Journal))
        journal._resources = stack.pop_all()
    return journal


def read(path: str | os.PathLike) -> Journal:
    """Reads the journal at `path` without locking it, also while a search writes to it.

    Raises:
      ValueError: the file is not a journal of this format, or is damaged.
    """
    return json_lines.read(path, Journal)
