"""A benchmark as a table: its architectures and the metrics of each training run.

A table lives in one file of the safetensors format: text and numbers only, nothing that runs when it is read.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from common import rows, spaces, types
from common.file_formats import files, json_values, tensor_file
from common.spaces import factory

SUFFIX = ".table"
FORMAT = "nas-table-1"
ROLES = ("validation", "test", "cost")  # of the metrics of a dataset
MAX_CHOICES = 1024  # of a decision; the masks of legal tokens grow with the square
_CHUNK = 1 << 13  # rows compared with their canonical form at a time


@dataclasses.dataclass(frozen=True)
class Info:
    """Description and origin of a table.

    Attributes:
      benchmark: its key in `common.tables.BENCHMARKS`.
      space: the name of its search space.
      datasets: dataset -> {"validation": metric, "test": metric, "cost": metric}, without those not published.
      source: name, SHA-256 and origin of the file it was made from.
      licence: licence of the numbers.
      notes: remarks for readers of results.
      num_choices: options of each decision, for a user's benchmark without a named space; otherwise ().
      decisions: names of the decisions of such a benchmark; () if they have none.
      is_listed: whether a search is restricted to the rows of the table, a part of the space.
    """

    benchmark: str
    space: str
    datasets: Mapping[str, Mapping[str, str]]
    source: str
    licence: str
    notes: str = ""
    num_choices: tuple[int, ...] = ()
    decisions: tuple[str, ...] = ()
    is_listed: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The results of a benchmark: R rows (architectures), S training runs (seeds) of each.

    Attributes:
      archs: int8[R, L] or int32[R, L], distinct canonical rows in lexicographic order.
      metrics: name -> float32[R, S], NaN for missing runs; S depends on the metric. The validation and test metrics
        of a dataset are fractions in [0, 1], its cost is in seconds.
    """

    info: Info
    archs: np.ndarray
    metrics: Mapping[str, np.ndarray]


def from_rows(info: Info, archs: np.ndarray, metrics: Mapping[str, np.ndarray]) -> Table:
    """Returns the table of architectures in any order.

    Args:
      info: benchmark, space, datasets and metrics of the table.
      archs: int[R, L], distinct canonical rows.
      metrics: name -> float[R], or float[R, S] with a column for each training run.

    Raises:
      ValueError: see `check`.
    """
    archs = np.asarray(archs)
    if archs.ndim != 2 or not len(archs):
        raise ValueError(f"a table holds at least one architecture; got an array of shape {archs.shape}")
    num_choices = max(base_space(info).num_choices)
    order = rows.lexicographic_order(archs)
    columns = {}
    for name, values in metrics.items():
        with np.errstate(over="ignore"):  # it becomes infinite, which raises below
            values = np.asarray(values, np.float32)
        if values.ndim not in (1, 2) or len(values) != len(archs):
            raise ValueError(f"metric {name!r} must have {len(archs)} rows, one an architecture; got {values.shape}")
        columns[name] = (values if values.ndim == 2 else values[:, None])[order]
    dtype = np.int8 if num_choices <= 127 else np.int32
    made = Table(info=info, archs=archs[order].astype(dtype), metrics=columns)
    check(made)
    return made


def base_space(info: Info) -> types.SearchSpace:
    """Returns the space that the rows of a table are written in."""
    if info.num_choices:
        return factory.product(info.space, info.num_choices, info.decisions)
    return spaces.get(info.space)


def space_of(table: Table) -> types.SearchSpace:
    """Returns the space that can be searched: that of the rows, or the rows themselves if `is_listed`."""
    space = base_space(table.info)
    return factory.listed(space, table.archs) if table.info.is_listed else space


def mean(table: Table, metric: str) -> np.ndarray:
    """Returns float32[R], the mean of `metric` over the runs of each row; NaN for rows without runs."""
    runs = np.asarray(table.metrics[metric], np.float64)
    count = np.sum(np.isfinite(runs), axis=1)
    return np.where(count > 0, np.nansum(runs, axis=1) / np.maximum(count, 1), np.nan).astype(np.float32)


def save(path: str | os.PathLike, table: Table) -> None:
    """Checks `table` and writes it to `path`, all or nothing."""
    check(table)
    own = {"num_choices", "decisions", "is_listed"}  # left out where not needed, as before there were any
    fields = dataclasses.asdict(table.info)
    info = json.dumps({name: value for name, value in fields.items() if value or name not in own})
    tensors = {"archs": table.archs} | {f"metrics/{name}": values for name, values in table.metrics.items()}
    metadata = {"format": FORMAT, "info": info, "sha256": tensor_file.digest(tensors, info)}
    tensor_file.write(pathlib.Path(path), tensors, metadata)


def load(path: str | os.PathLike, *, verify: bool = True) -> Table:
    """Returns the table in a file that `save` wrote.

    Args:
      verify: whether to compare the SHA-256 and to `check` the table; of a large one, only some thousands of rows are
        compared with their canonical form.

    Raises:
      ValueError: if the file is missing, damaged, or not a valid table.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        command = f"python -m launch.build_table --benchmark=NAME --source=FILE_OR_FOLDER --output={path}"
        raise ValueError(f"no table at {path}; make it with `{command}`")
    tensors, metadata = tensor_file.read(path)
    stated = metadata.get("format")
    if stated != FORMAT or not {"info", "sha256"} <= set(metadata) or "archs" not in tensors:
        raise ValueError(f"{path} is not a table of this version ({FORMAT}): it says {stated!r}; build it again")
    if verify and tensor_file.digest(tensors, metadata["info"]) != metadata["sha256"]:
        raise ValueError(f"{path} is damaged: its contents do not match its SHA-256; build it or copy it again")
    archs = tensors.pop("archs")
    metrics = {name.removeprefix("metrics/"): values for name, values in tensors.items()}
    loaded = Table(info=_parse_info(path, metadata["info"]), archs=archs, metrics=metrics)
    if verify:
        check(loaded, every=-(-len(archs) // _CHUNK))
    return loaded


def published(
    benchmark: str,
    path: pathlib.Path,
    archs: np.ndarray,
    metrics: Mapping[str, np.ndarray],
    datasets: Mapping[str, Mapping[str, str]],
    *,
    space: types.SearchSpace,
    origin: str,
    licence: str = "Apache-2.0",
    notes: str = "",
) -> Table:
    """Returns the table of a published file, as `from_rows`; its notes say so if it is only part of `space`."""
    if len(archs) < space.size:
        notes = f"Only {len(archs)} of {space.size} architectures. {notes}".strip()
    info = Info(benchmark, space.name, datasets, describe_source(path, origin), licence, notes)
    return from_rows(info, archs, metrics)


def describe_source(path: pathlib.Path, origin: str) -> str:
    """Returns the text of `Info.source`: name, SHA-256 (of a file) and `origin`."""
    if path.is_dir():
        return f"{path.name}; {origin}"
    with path.open("rb") as file:
        return f"{path.name}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}; {origin}"


def check(table: Table, *, every: int = 1) -> None:
    """Raises a `ValueError` if a table is invalid; one of `every` rows is compared with its canonical form (slow)."""
    _check_archs(table, every)
    num_rows = len(table.archs)
    for name, values in table.metrics.items():
        if values.dtype != np.float32 or values.ndim != 2 or len(values) != num_rows or not values.shape[1]:
            found = f"{values.dtype} {values.shape}"
            raise ValueError(f"metric {name!r} must be float32 of shape ({num_rows}, runs); got {found}")
        if np.any(np.isinf(values)):
            raise ValueError(f"metric {name!r} holds an infinite value; leave a failed run out as NaN")
    if not table.info.datasets:
        raise ValueError("info.datasets is empty; name at least one dataset and its metrics")
    for dataset, metrics in table.info.datasets.items():
        _check_dataset(table, dataset, metrics)


def _check_archs(table, every):
    archs, space = table.archs, base_space(table.info)
    if archs.ndim != 2 or archs.dtype not in (np.int8, np.int32) or not len(archs):
        raise ValueError(f"archs must be int8 or int32 of shape (rows, decisions); got {archs.dtype} {archs.shape}")
    chosen = archs[::every]
    for start in range(0, len(chosen), _CHUNK):
        try:
            factory.check_rows(chosen[start : start + _CHUNK], space)
        except ValueError as error:
            raise ValueError(f"archs, counting every {every} from row {start * every}: {error}") from error
    rows.check_sorted(archs, "archs")


def _check_dataset(table, dataset, metrics):
    if set(metrics) - set(ROLES) or not set(metrics) & {"validation", "test"}:
        wanted = f"validation or test, and of nothing but {', '.join(ROLES)}"
        raise ValueError(f"dataset {dataset!r} must name metrics of {wanted}; got {dict(metrics)}")
    for role, name in metrics.items():
        if name not in table.metrics:
            known = ", ".join(table.metrics)
            raise ValueError(f"dataset {dataset!r} has {name!r} as its {role}; the metrics are {known}")
        values = np.asarray(table.metrics[name])
        if role == "cost":
            if np.any(values < 0):
                raise ValueError(f"metric {name!r} must be seconds, not negative; got {np.nanmin(values)}")
            continue
        has_run = np.any(np.isfinite(values), axis=1)
        if not has_run.all():
            raise ValueError(f"metric {name!r} has no run (all NaN) for row {int(np.argmin(has_run))}")
        low, high = np.nanmin(values), np.nanmax(values)
        if low < 0 or high > 1:
            raise ValueError(f"metric {name!r} must be fractions in [0, 1]; got {low} to {high}")


def _parse_info(path, text):
    problem = f"is not a table of this version ({FORMAT}): its info is {text[:200]!r}"
    with files.reporting(path, problem):
        record = json_values.parse(text)
        own = {name: tuple(record[name]) for name in ("num_choices", "decisions") if name in record}
        info = Info(**record | own)
    texts = (info.benchmark, info.space, info.source, info.licence, info.notes, *info.decisions)
    datasets = info.datasets if isinstance(info.datasets, dict) else {"": None}
    is_sound = all(isinstance(text, str) for text in texts) and all(
        type(size) is int and 0 < size <= MAX_CHOICES for size in info.num_choices
    )
    is_sound = is_sound and set(info.num_choices) != {1}
    for metrics in datasets.values():
        is_sound &= isinstance(metrics, dict) and all(isinstance(name, str) for name in metrics.values())
    if not is_sound or not isinstance(info.is_listed, bool):
        raise ValueError(f"{path} {problem}")
    return info
