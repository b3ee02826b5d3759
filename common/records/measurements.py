"""Files of measurements: architecture, fitness and cost, as lines of JSON or as CSV.

  {"arch": [0, 3, 1, 4, 2, 2], "fitness": 0.9142, "cost": 1380.2}      arch,fitness,cost
  {"arch": [1, 1, 0, 0, 2, 3], "fitness": null}                        0 3 1 4 2 2,0.9142,1380.2
                                                                       1 1 0 0 2 3,,

Fitness is a fraction in [0, 1], larger is better; null or an empty cell marks an architecture whose evaluation failed.
Cost, in seconds, is optional.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common import history as history_lib
from common import types
from common.file_formats import csv_lines, files, json_values, replacing
from common.records import run_dir

SUFFIXES = (".jsonl", ".csv")
_COLUMNS = ("arch", "fitness", "cost")


class Measurements(NamedTuple):
    """R architectures with their results.

    Attributes:
      archs: int32[R, L], distinct canonical rows.
      fitness: float32[R], NaN where infeasible.
      cost: float32[R], seconds, NaN where unknown.
    """

    archs: np.ndarray
    fitness: np.ndarray
    cost: np.ndarray

    def fitness_by_row(self) -> dict[tuple[int, ...], float]:
        """Returns architecture -> fitness."""
        return dict(zip(map(tuple, self.archs.tolist()), self.fitness.tolist(), strict=True))


def read(path: str | os.PathLike, space: types.SearchSpace) -> Measurements:
    """Returns the measurements in the file `path`, whose name ends in .jsonl or .csv.

    Raises:
      ValueError: the file is missing, empty, or a line of it, which is named, is not a measurement of an
        architecture of `space`, or repeats an earlier one.
    """
    path, measured, faults = pathlib.Path(path), [], []
    lines = _lines(path)
    for number, fields in lines:
        try:
            measured.append(_measurement(path, number, fields, space))
        except ValueError as error:
            faults.append(str(error))
    files.refuse(faults)
    if not measured:
        raise ValueError(f"{path} holds no measurements")
    archs, fitness, cost = zip(*measured, strict=True)
    rows = np.array(archs, np.int32)
    is_valid = np.asarray(space.is_valid(rows))
    if not np.all(is_valid):
        at = int(np.argmin(is_valid))
        raise ValueError(f"line {lines[at][0]} of {path}: {archs[at]} is not a valid architecture of {space.name}")
    canonical = np.asarray(space.canonicalize(rows), np.int32)
    first: dict[tuple, int] = {}
    for (number, _), row in zip(lines, map(tuple, canonical.tolist()), strict=True):
        if row in first:
            raise ValueError(
                f"line {number} of {path} is of the same architecture as line {first[row]}; keep one of them"
            )
        first[row] = number
    return Measurements(archs=canonical, fitness=np.array(fitness, np.float32), cost=np.array(cost, np.float32))


def describe(path: str | os.PathLike, found: Measurements) -> str:
    """Returns one line about the measurements of a file."""
    fitness = found.fitness[np.isfinite(found.fitness)]
    values = f"fitness {100 * fitness.min():.2f} to {100 * fitness.max():.2f} %" if fitness.size else "no fitness"
    return f"{path}: {len(found.archs):,} earlier measurements, {values}, {len(found.archs) - fitness.size} failed"


def write(path: str | os.PathLike, history: history_lib.History) -> None:
    """Writes the measured and infeasible rows of a history in the order proposed.

    Raises:
      ValueError: the name ends in neither .jsonl nor .csv.
    """
    path = pathlib.Path(path)
    check_name(path)
    status, lines = np.asarray(history.status), []
    for at in np.flatnonzero((status == types.MEASURED) | (status == types.INFEASIBLE)):
        row = {"arch": np.asarray(history.archs)[at].tolist()}
        for name in ("fitness", "cost"):
            value = float(np.asarray(history[name])[at])
            row[name] = value if math.isfinite(value) else None
        lines.append(row)
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(line) + "\n" for line in lines)
    else:
        cells = [[" ".join(map(str, line["arch"])), line["fitness"], line["cost"]] for line in lines]
        text = "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in [_COLUMNS, *cells])
    run_dir.write_text(path, text)


def check_replaceable(
    path: str | os.PathLike,
    space: types.SearchSpace,
    known: Mapping[tuple[int, ...], float],
    *,
    folder: str | os.PathLike | None = None,
) -> None:
    """Raises a `ValueError` if `path` cannot be written, or holds anything but measurements that are in `known`.

    Args:
      known: architecture -> fitness of all that will be written.
      folder: that will be made before; None: there is none.
    """
    path = pathlib.Path(path)
    replacing.check_folder(path, folder)
    if not os.path.lexists(path) or (path.is_file() and not path.stat().st_size):
        return
    advice = "name another file with --export, or move it"
    try:
        before = read(path, space)
    except ValueError as error:
        raise ValueError(f"{path} exists and is no export of this search ({error}); {advice}") from error
    fitness = np.array([known.get(row, -1.0) for row in map(tuple, before.archs.tolist())], np.float32)
    if not np.array_equal(fitness, before.fitness, equal_nan=True):
        raise ValueError(f"{path} exists and has measurements that this search has not; {advice}")


def check_name(path: str | os.PathLike) -> None:
    """Raises a `ValueError` if the suffix of a file is not one of `SUFFIXES`."""
    if pathlib.Path(path).suffix not in SUFFIXES:
        raise ValueError(f"{path}: the name of a file of measurements must end in {' or '.join(SUFFIXES)}")


def rows_of(values: Any) -> np.ndarray:
    """Returns int32[B, L], B and L at least 1, of a list of lists of integers; a `ValueError` if it is none."""
    is_list = isinstance(values, list) and values and all(isinstance(row, list) and row for row in values)
    if not is_list or len({len(row) for row in values}) != 1:
        raise ValueError("architectures are not a list of lists of one length")
    if not all(type(value) is int and 0 <= value < 2**31 for row in values for value in row):
        raise ValueError("architectures are not lists of small integers")
    return np.array(values, np.int32)


def _lines(path):
    """Returns [(line number, its fields by name)]."""
    check_name(path)
    if not path.is_file():
        raise ValueError(f"no file of measurements at {path}")
    text = files.read_text(path)
    return _json_lines(path, text) if path.suffix == ".jsonl" else _csv_lines(path, text)


def _json_lines(path, text):
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json_values.parse(line)
        except ValueError as error:
            raise ValueError(f"line {number} of {path} is {error}") from error
        if not isinstance(fields, dict):
            raise ValueError(f"line {number} of {path} is not a JSON object")
        lines.append((number, fields))
    return lines


def _csv_lines(path, text):
    (number, columns), *rows = csv_lines.parse(text, path) or [(1, [])]
    columns = [name.strip() for name in columns]
    csv_lines.check_case(columns, "|".join(_COLUMNS), path)
    if rows and (not {"arch", "fitness"} <= set(columns) or len(set(columns)) != len(columns)):
        found = ",".join(columns)
        raise ValueError(f"line {number} of {path}: the columns are {','.join(_COLUMNS)}; got {found!r:.60}")
    lines = []
    for number, row in rows:
        if len(row) != len(columns):
            raise ValueError(f"line {number} of {path}: {len(row)} cells in {len(columns)} columns")
        lines.append((number, {name: cell.strip() or None for name, cell in zip(columns, row)}))
    return lines


def _measurement(path, number, fields, space):
    """Returns (architecture, fitness, cost) of the fields in a line."""
    try:
        return _arch(fields.get("arch"), space), _fitness(fields.get("fitness")), _cost(fields.get("cost"))
    except ValueError as error:
        raise ValueError(f"line {number} of {path}: {error}") from error


def _arch(value, space):
    """An architecture as a list, of a list or of text."""
    length = len(space.num_choices)
    if isinstance(value, str):
        cells = value.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
        if not all(cell.isascii() and cell.isdigit() and len(cell) < 10 for cell in cells):
            raise ValueError(f"arch is {_short(value)}, not {length} integers with spaces between")
        value = [int(cell) for cell in cells]
    if not isinstance(value, list) or not all(type(choice) is int for choice in value):
        raise ValueError(f"arch is {_short(value)}, not a list of integers")
    if len(value) != length:
        raise ValueError(f"arch has {len(value)} decisions; those of {space.name} have {length}")
    for at, (choice, limit) in enumerate(zip(value, space.num_choices)):
        if not 0 <= choice < limit:
            raise ValueError(f"decision {at} of arch is {choice}; {space.name} allows 0 to {limit - 1}")
    return value


def _fitness(value):
    fitness = _number(value, "fitness")
    if not 0 <= fitness <= 1 and not math.isnan(fitness):
        raise ValueError(f"fitness is {fitness:g}, not a fraction from 0 to 1 (divide a percentage by 100)")
    return fitness


def _cost(value):
    cost = _number(value, "cost")
    if cost < 0 or cost > float(np.finfo(np.float32).max):
        raise ValueError(f"cost is {cost:g}; it must be seconds, not negative")
    return cost


def _number(value, name):
    """A number, NaN where there is none."""
    if value is None:
        return math.nan
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {_short(value)}, not a number")
    return number


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
