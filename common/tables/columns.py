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

import numpy as np

from common import rows as rows_lib
from common.tables import column_files, table


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
    columns = column_files.read(path)
    archs, decisions = column_files.take_archs(path, columns)
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
    archs = column_files.canonical(path, columns, archs, base)
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
    if path.suffix not in column_files.SUFFIXES:
        raise ValueError(f"a file of costs ends in {' or '.join(column_files.SUFFIXES)}; got {path.name}")
    columns = column_files.read(path)
    archs, _ = column_files.take_archs(path, columns)
    archs = column_files.canonical(path, columns, archs, table.base_space(benchmark.info))
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
        if name in benchmark.metrics or re.fullmatch(column_files.NAMES, name):
            raise ValueError(f"{path}: {benchmark.info.benchmark} has {name} already; choose another name for the cost")
        added[name] = np.full((len(benchmark.archs), 1), np.nan, np.float32)
        added[name][at, 0] = values
    return dataclasses.replace(benchmark, metrics={**benchmark.metrics, **added})


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
