"""The journal of a search: every event, on disk before it is acted on.

A text file of one JSON object a line. The first line says what the search is; a `proposed` line holds the
rows of one round, a `measured` line one result. A process that is killed while it writes leaves at most a
torn last line, which the next start drops: what it would have said was not acted on.

  {"format": 1, "header": {"space": "nasbench201", "seed": 0, ...}}
  {"event": "proposed", "round": 0, "archs": [[0, 3, 1, 4, 2, 2], ...], "seconds": 0.51}
  {"event": "measured", "at": 0, "fitness": 0.9142, "cost": 1380.2, "ok": true, "seconds": 0.52}
"""

import contextlib
import json
import math
import os
import pathlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from absl import logging

from common import types

FORMAT = 1


class Result(NamedTuple):
    """One measurement: fitness (NaN unless `ok`), cost in seconds, and when it came, in seconds."""

    fitness: float
    cost: float
    ok: bool
    seconds: float


class Journal:
    """What was proposed and measured so far, in memory and, where it has a file, on disk.

    Attributes:
      proposed: round -> int32[count, L].
      measured: index in the history -> `Result`.
    """

    def __init__(self, file: BinaryIO | None = None, events: Iterable[Mapping[str, Any]] = ()):
        """Takes up the `events` that `file` holds after its first line; later ones are appended to it."""
        self.proposed: dict[int, np.ndarray] = {}
        self.measured: dict[int, Result] = {}
        self._file = file
        self._num_rows = 0
        self._seconds = 0.0
        for number, event in enumerate(events, start=2):
            try:
                self._apply(event)
            except ValueError as error:
                raise ValueError(_damage(file.name, number, error)) from error
        self._start = time.monotonic() - self._seconds

    def write_proposed(self, round_: int, archs: np.ndarray) -> None:
        """Records int32[count, L] `archs`, the proposal of a round."""
        self._write([{"event": "proposed", "round": round_, "archs": np.asarray(archs).tolist()}])

    def write_measured(self, at: np.ndarray, evaluation: types.Evaluation) -> None:
        """Records the results of the rows int[B] `at` of the history."""
        rows = zip(at, *map(np.asarray, (evaluation.fitness, evaluation.cost, evaluation.ok)), strict=True)
        self._write([_measured_event(*row) for row in rows])

    def agree(self, round_: int, archs: np.ndarray) -> np.ndarray:
        """Returns what was proposed in a round: as recorded, or int32[count, L] `archs`, which it records then.

        Raises:
          ValueError: the journal is of a search with another `count`.
        """
        if round_ not in self.proposed:
            self.write_proposed(round_, archs)
        recorded = self.proposed[round_]
        if recorded.shape != archs.shape:
            raise ValueError(
                f"the journal is of a search with {len(recorded)} architectures a round; got count = {len(archs)}: "
                f"go on with {len(recorded)}, or start in a fresh folder"
            )
        if np.any(recorded != archs):
            # Other hardware or another version rounds differently. What was measured stays measured.
            logging.warning("Round %d would be proposed differently now; the search goes on from the journal.", round_)
        return recorded

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Returns those of int[B] `rows` of the history that have no result."""
        return np.array([at for at in rows.tolist() if at not in self.measured], int)

    def evaluation(self, rows: np.ndarray) -> types.Evaluation:
        """Returns the results of int[B] `rows` of the history, all of which have one."""
        fitness, cost, ok, _ = zip(*(self.measured[at] for at in rows.tolist()), strict=True)
        return types.Evaluation(
            fitness=np.array(fitness, np.float32), cost=np.array(cost, np.float32), ok=np.array(ok, bool)
        )

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _write(self, events):
        seconds = round(time.monotonic() - self._start, 3)
        events = [{**event, "seconds": seconds} for event in events]
        if self._file is not None:
            _append(self._file, events)
        for event in events:
            self._apply(event)

    def _apply(self, event):
        """Takes up one event, as written; a `ValueError` says what is wrong with it."""
        try:
            if event["event"] == "proposed":
                self._apply_proposed(event)
            elif event["event"] == "measured":
                self._apply_measured(event)
            else:
                raise ValueError(f"unknown event {event['event']!r}")
            self._seconds = max(self._seconds, float(event["seconds"]))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not an event: {error!r}") from error

    def _apply_proposed(self, event):
        archs = np.array(event["archs"], np.int32)
        if event["round"] != len(self.proposed) or archs.ndim != 2:
            raise ValueError(f"round {event['round']} of shape {archs.shape} cannot follow {len(self.proposed)} rounds")
        self.proposed[event["round"]] = archs
        self._num_rows += len(archs)

    def _apply_measured(self, event):
        at = int(event["at"])
        if at in self.measured or not 0 <= at < self._num_rows:
            raise ValueError(f"row {at} of {self._num_rows} is measured twice or was not proposed")
        fitness, cost = (math.nan if event[name] is None else float(event[name]) for name in ("fitness", "cost"))
        self.measured[at] = Result(fitness, cost, bool(event["ok"]), float(event["seconds"]))


def in_memory() -> Journal:
    """Returns an empty journal without a file."""
    return Journal()


def open_journal(path: str | os.PathLike, header: Mapping[str, Any]) -> Journal:
    """Opens the journal at `path`, or starts it there.

    Args:
      path: the file; its folder must exist.
      header: what the search is, of JSON types: space, seed, configuration. Only a search with the same
        header can go on with the journal.

    Raises:
      ValueError: the journal is of another search, of another format, or damaged.
    """
    path = pathlib.Path(path)
    first = {"format": FORMAT, "header": json.loads(json.dumps(dict(header)))}
    lines, size = _read(path)
    if lines:
        _check_first(path, lines[0], first)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("ab"))
        file.truncate(size)
        journal = Journal(file, lines[1:])
        if not lines:
            _append(file, [first])
        stack.pop_all()
    return journal


def _measured_event(at, fitness, cost, ok):
    ok = bool(ok) and math.isfinite(fitness)
    cost = float(cost) if math.isfinite(cost) else None
    return {"event": "measured", "at": int(at), "fitness": float(fitness) if ok else None, "cost": cost, "ok": ok}


def _append(file, lines):
    """Writes JSON lines and waits until they are on disk."""
    file.write(b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines))
    file.flush()
    os.fsync(file.fileno())


def _read(path):
    """Returns (parsed lines, bytes they take); a torn last line is left out."""
    data = path.read_bytes() if path.exists() else b""
    *whole, _ = data.split(b"\n")
    lines = []
    for number, line in enumerate(whole, start=1):
        try:
            parsed = json.loads(line)
            if not isinstance(parsed, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            if number == len(whole):
                return lines, sum(len(line) + 1 for line in whole[:-1])
            raise ValueError(_damage(path, number, error)) from error
        lines.append(parsed)
    return lines, sum(len(line) + 1 for line in whole)


def _check_first(path, got, wanted):
    """Raises a `ValueError` unless the first line `got` is the one this search would write."""
    if got == wanted:
        return
    if not isinstance(got.get("header"), dict) or got.get("format") != FORMAT:
        raise ValueError(f"{path} is not a journal of format {FORMAT}; start in a fresh folder")
    names = sorted(got["header"].keys() | wanted["header"].keys())
    differing = [name for name in names if got["header"].get(name) != wanted["header"].get(name)]
    differences = "; ".join(
        f"{name} was {got['header'].get(name)!r} and is now {wanted['header'].get(name)!r}" for name in differing
    )
    raise ValueError(f"{path} is of another search: {differences}; start in a fresh folder or with the old settings")


def _damage(path, number, error):
    return f"line {number} of {path} is damaged ({error}); restore the file or start in a fresh folder"
