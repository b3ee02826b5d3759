"""Benchmark files of a user: CSV or NumPy (npz), with a row for each architecture and named columns.

| column | contents |
|---|---|
| `arch` | the L decisions of an architecture, whole numbers from 0: in CSV text such as `0 1 2`, in npz int[R, L] |
| `x0`, `x1`, ... or `x_NAME`, ... | instead of `arch`: one column for each decision |
| `validation`, `test` | fitness, fractions in [0, 1]; of a benchmark with several datasets `DATASET/validation` ... |
| `cost`, `DATASET/cost` | seconds of training |
| any other | numbers, such as `cost_latency` or `parameters`, kept as metrics of the same name |

Several training runs of a metric are columns `validation_0`, `validation_1`, ... (in npz also one array [R, S]); where
an architecture has fewer runs, cells are empty (in npz NaN).
"""

import dataclasses
import pathlib
import re
from typing import NamedTuple

import numpy as np

from common import rows as rows_lib
from common.file_formats import csv_lines, files, npz
from common.tables import table

SUFFIXES = (".csv", ".npz")
ARCH = "arch"
_NAMES = r"arch|x\d+|x_\w+|(.+/)?(validation|test|cost)(_\d+)?"
_CHUNK = 1 << 13  # rows made canonical at a time


class _Columns(NamedTuple):
    """The contents of a file."""

    values: dict[str, np.ndarray]  # float64[R], float64[R, S] or (of `arch`) float64[R, L] by column
    places: list[str]  # where each row stands, for messages: "line 5"


def read(path: str | pathlib.Path, space: str | None = None) -> table.Table:
    """Returns the table of a file.

    Args:
      path: a file `.csv` or `.npz`.
      space: the name of the search space; None: the product of the decisions, with choices up to the largest value.

    Raises:
      ValueError: if the file is missing, damaged, lacks a column, or holds a value that is not allowed; the message
        names the line and the column.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no benchmark file at {path}")
    columns = _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
    archs, decisions = _take_archs(path, columns)
    if len(archs) < 2:
        raise ValueError(f"{path} holds {len(archs)} architecture; a search needs at least two")
    if space is None and not archs.any():
        raise ValueError(f"{path}: all its architectures are {archs[0].tolist()!s:.60}; a search needs at least two")
    metrics = _stack_runs(columns.values)
    info = table.Info(
        benchmark=path.stem,
        space=space or path.stem,
        datasets=_datasets(path, metrics),
        source=table.describe_source(path, "a file of the user's own"),
        licence="unknown",
        num_choices=() if space else tuple((archs.max(axis=0) + 1).tolist()),
        decisions=() if space else decisions,
    )
    base = table.base_space(info)
    archs = _canonical(path, columns, archs, base)
    for roles in info.datasets.values():
        for role, name in roles.items():
            _check_metric(path, columns, name, metrics[name], role)
    info = dataclasses.replace(info, is_listed=len(archs) < base.size)
    return table.from_rows(info, archs, metrics)


def read_costs(path: str | pathlib.Path, benchmark: table.Table) -> table.Table:
    """Returns a table with further costs of its architectures: columns of numbers beside `arch` (or `x0`, ...).

    Architectures that the file lacks, and empty cells, have NaN.

    Args:
      path: a file `.csv` or `.npz`.
      benchmark: the table, whose architectures the file describes.

    Raises:
      ValueError: as `read`; or an architecture or a column is not that of a cost of the table.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no file of costs at {path}")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a file of costs ends in {' or '.join(SUFFIXES)}; got {path.name}")
    columns = _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
    archs, _ = _take_archs(path, columns)
    archs = _canonical(path, columns, archs, table.base_space(benchmark.info))
    if not columns.values:
        raise ValueError(f"{path} has no costs; want a column for each beside the decisions, such as latency")
    at = np.asarray(rows_lib.find(benchmark.archs, archs.astype(benchmark.archs.dtype)))
    if (unknown := np.flatnonzero(at == len(benchmark.archs))).size:
        place = f"{path}, {columns.places[unknown[0]]}"
        raise ValueError(f"{place}: {archs[unknown[0]].tolist()} is no architecture of {benchmark.info.benchmark}")
    added = {}
    for name, values in columns.values.items():
        if values.ndim > 1:
            raise ValueError(f"{path}, array {name}: want one number for each architecture; got {values.shape}")
        if name in benchmark.metrics or re.fullmatch(_NAMES, name):
            raise ValueError(f"{path}: {benchmark.info.benchmark} has {name} already; choose another name for the cost")
        added[name] = np.full((len(benchmark.archs), 1), np.nan, np.float32)
        added[name][at, 0] = values
    return dataclasses.replace(benchmark, metrics={**benchmark.metrics, **added})


def _read_csv(path):
    if found := files.kind_of(path):
        raise ValueError(f"{path} is {found}; want CSV in UTF-8")
    lines = [(f"line {number}", line) for number, line in csv_lines.parse(files.read_text(path), path)]
    header = [name.strip() for name in lines[0][1]] if lines else []
    if not any(re.search("[A-Za-z]", name) for name in header):
        problem = f"{path} has no header" if lines else f"{path} is empty"
        raise ValueError(f"{problem}; its first line must name the columns, such as arch,validation,test")
    if len(header) == 1 and (found := re.search("[;\t|]", header[0])):
        kind = {";": "semicolons", "\t": "tabs"}.get(found[0], "bars")
        raise ValueError(f"{path} separates its columns by {kind}; want commas, and a point in decimal numbers")
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{path} names the column {repeated[0]!r} twice")
    csv_lines.check_case(header, _NAMES, path)
    if len(lines) == 1:
        raise ValueError(f"{path} has a header, but no rows")
    columns, faults = {name: [] for name in header}, []
    for place, line in lines[1:]:
        if len(line) != len(header):
            faults.append(f"{path}, {place}: {len(line)} values, but the header names {len(header)} columns")
            continue
        for name, text in zip(header, line, strict=True):
            try:
                columns[name].append(_decisions(text) if name == ARCH else _number(text))
            except ValueError:
                wanted = "whole numbers from 0, such as 0 1 2" if name == ARCH else "a number"
                faults.append(f"{path}, {place}, column {name}: {text!r:.60} is not {wanted}")
    files.refuse(faults)
    places = [place for place, _ in lines[1:]]
    lengths = [len(arch) for arch in columns.get(ARCH, ())]
    for place, length in zip(places, lengths, strict=False):
        if length != lengths[0]:
            raise ValueError(f"{path}, {place}, column {ARCH}: {length} decisions, but {lengths[0]} in {places[0]}")
    return _Columns({name: np.array(values, np.float64) for name, values in columns.items()}, places)


def _decisions(text):
    return [int(word) for word in text.replace(",", " ").strip(" []").split()]


def _number(text):
    if not text.strip():
        return np.nan
    value = float(text)
    if not np.isfinite(value):
        raise ValueError
    return value


def _read_npz(path):
    arrays = npz.read(path)
    if not arrays:
        raise ValueError(f"{path} is empty; want the arrays {ARCH}, validation and test")
    csv_lines.check_case(arrays, _NAMES, path)
    num_rows = len(next((values for values in arrays.values() if values.ndim), ()))
    for name, values in arrays.items():
        if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
            raise ValueError(f"{path}, array {name}: want numbers; got {values.dtype}")
        allowed = (2,) if name == ARCH else (1, 2)
        if values.ndim not in allowed or len(values) != num_rows or 0 in values.shape:
            wanted = f"({num_rows}, decisions)" if name == ARCH else f"({num_rows},) or ({num_rows}, runs)"
            raise ValueError(f"{path}, array {name}: want the shape {wanted}, rows first; got {values.shape}")
        if np.isinf(values).any():
            raise ValueError(f"{path}, row {np.argwhere(np.isinf(values))[0][0]}, array {name}: infinite")
    values = {name: array.astype(np.float64) for name, array in arrays.items()}
    return _Columns(values, [f"row {row}" for row in range(num_rows)])


def _take_archs(path, columns):
    """Takes the architectures out of the columns; returns (int[R, L], names of the decisions, () if they have none)."""
    names = [name for name in columns.values if re.fullmatch(r"x(\d+|_\w+)", name)]
    if (ARCH in columns.values) == bool(names):
        wanted = f"either a column {ARCH} or columns x0, x1, ... (or x_NAME, ...) with the decisions"
        raise ValueError(f"{path} must have {wanted}; it has {', '.join(columns.values)}")
    numbered = [name for name in names if not name.startswith("x_")]
    if numbered and names != [f"x{at}" for at in range(len(names))]:
        raise ValueError(f"{path} has the decisions {', '.join(names)}; want x0, x1, ... in order, or x_NAME for all")
    parts = [columns.values.pop(name) for name in names or [ARCH]]
    if any(part.ndim > 1 for part in parts) and names:
        raise ValueError(f"{path}: the arrays {', '.join(names)} must have one value for each architecture")
    values = np.column_stack(parts)
    is_choice = (values >= 0) & (values < table.MAX_CHOICES) & (values == np.floor(values))
    if not is_choice.all():
        row, at = np.argwhere(~is_choice)[0]
        name = names[at] if names else f"{ARCH}, decision {at}"
        advice = f"choices are whole numbers from 0 to {table.MAX_CHOICES - 1}, so number the options of a decision"
        place = f"{path}, {columns.places[row]}, column {name}"
        raise ValueError(f"{place}: {values[row, at]:g} is not a choice; {advice}")
    return values.astype(np.int64), tuple(name.removeprefix("x_") for name in names if name not in numbered)


def _stack_runs(values):
    """Returns metrics by name, float64[R, S]: runs such as `test_0`, `test_1` side by side."""
    stacks = {}
    for name, column in values.items():
        run = re.fullmatch(r"((?:.+/)?(?:validation|test|cost))_\d+", name)
        stacks.setdefault(run[1] if run else name, []).append(column)
    return {name: np.column_stack(stack) for name, stack in stacks.items()}


def _datasets(path, metrics):
    """Returns the metrics of each dataset by role; a cost without a dataset is that of all."""
    found = {}
    for name in metrics:
        dataset, _, role = name.rpartition("/")
        if role in ("validation", "test"):
            found.setdefault(dataset or "default", {})[role] = name
    if not found:
        problem = f"{path} has no fitness; want a column validation or test (or DATASET/validation ...)"
        raise ValueError(f"{problem}; the columns are {', '.join(metrics) or 'the decisions alone'}")
    for dataset, roles in found.items():
        cost = next((name for name in (f"{dataset}/cost", "cost") if name in metrics), None)
        if cost:
            roles["cost"] = cost
    return found


def _canonical(path, columns, archs, space):
    """Returns the canonical rows, which are in the space and distinct."""
    if archs.shape[1] != len(space.num_choices):
        wanted = len(space.num_choices)
        raise ValueError(f"{path}: its architectures have {archs.shape[1]} decisions, those of {space.name} {wanted}")
    parts = []
    for start in range(0, len(archs), _CHUNK):
        rows = archs[start : start + _CHUNK]
        is_valid = np.all(rows < np.array(space.num_choices), axis=1)
        is_valid[is_valid] = np.asarray(space.is_valid(rows[is_valid].astype(np.int32)))
        if not is_valid.all():
            row = rows[np.argmin(is_valid)].tolist()
            place = columns.places[start + int(np.argmin(is_valid))]
            raise ValueError(f"{path}, {place}: {row} is not an architecture of {space.name}")
        parts.append(np.asarray(space.canonicalize(rows.astype(np.int32))))
    canonical = np.concatenate(parts)
    _, first, inverse = np.unique(canonical, axis=0, return_index=True, return_inverse=True)
    first = first[inverse.reshape(-1)]  # the first row with the architecture of each row
    if (repeats := np.flatnonzero(first != np.arange(len(archs)))).size:
        at, earlier = repeats[0], columns.places[first[repeats[0]]]
        raise ValueError(f"{path}, {columns.places[at]}: {archs[at].tolist()} is the architecture of {earlier} again")
    return canonical


def _check_metric(path, columns, name, values, role):
    """Raises a `ValueError` unless there are runs of each row (if not of its cost), fractions or seconds."""
    is_missing = np.isnan(values).all(axis=1)
    if role != "cost" and is_missing.any():
        raise ValueError(f"{path}, {columns.places[int(np.argmax(is_missing))]}: no value of {name}")
    highest = np.inf if role == "cost" else 1
    is_wrong = (values < 0) | (values > highest)
    if is_wrong.any():
        row, run = np.argwhere(is_wrong)[0]
        wanted = "negative" if role == "cost" else "not a fraction in [0, 1]; divide percentages by 100"
        raise ValueError(f"{path}, {columns.places[row]}, column {name}: {values[row, run]:g} is {wanted}")
