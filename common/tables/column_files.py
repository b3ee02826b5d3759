"""Columns of numbers by name, read from CSV or NumPy files (npz), with a row for each architecture."""

import pathlib
import re
from typing import NamedTuple

import numpy as np

from common import types
from common.file_formats import csv_lines, files, npz
from common.tables import table

SUFFIXES = (".csv", ".npz")
NAMES = r"arch|x\d+|x_\w+|(.+/)?(validation|test|cost)(_\d+)?"  # with a meaning of their own
_ARCH = "arch"
_CHUNK = 1 << 13  # rows made canonical at a time


class Columns(NamedTuple):
    """The contents of a file."""

    values: dict[str, np.ndarray]  # float64[R], float64[R, S] or (of `arch`) float64[R, L] by column
    places: list[str]  # where each row stands, for messages: "line 5"


def read(path: pathlib.Path) -> Columns:
    """Returns the columns of a file `.csv` or `.npz`.

    Raises:
      ValueError: the file is damaged, or holds what is no number; the message names the line and the column.
    """
    return _read_csv(path) if path.suffix == ".csv" else _read_npz(path)


def take_archs(path: pathlib.Path, columns: Columns) -> tuple[np.ndarray, tuple[str, ...]]:
    """Takes the architectures out of the columns; returns (int64[R, L], names of the decisions, () if they have none).

    Raises:
      ValueError: the columns of the architectures are missing, or hold what is no choice.
    """
    names = [name for name in columns.values if re.fullmatch(r"x(\d+|_\w+)", name)]
    if (_ARCH in columns.values) == bool(names):
        wanted = f"either a column {_ARCH} or columns x0, x1, ... (or x_NAME, ...) with the decisions"
        raise ValueError(f"{path} must have {wanted}; it has {', '.join(columns.values)}")
    numbered = [name for name in names if not name.startswith("x_")]
    if numbered and names != [f"x{at}" for at in range(len(names))]:
        raise ValueError(f"{path} has the decisions {', '.join(names)}; want x0, x1, ... in order, or x_NAME for all")
    parts = [columns.values.pop(name) for name in names or [_ARCH]]
    if any(part.ndim > 1 for part in parts) and names:
        raise ValueError(f"{path}: the arrays {', '.join(names)} must have one value for each architecture")
    values = np.column_stack(parts)
    is_choice = (values >= 0) & (values < table.MAX_CHOICES) & (values == np.floor(values))
    if not is_choice.all():
        row, at = np.argwhere(~is_choice)[0]
        name = names[at] if names else f"{_ARCH}, decision {at}"
        advice = f"choices are whole numbers from 0 to {table.MAX_CHOICES - 1}, so number the options of a decision"
        place = f"{path}, {columns.places[row]}, column {name}"
        raise ValueError(f"{place}: {values[row, at]:g} is not a choice; {advice}")
    return values.astype(np.int64), tuple(name.removeprefix("x_") for name in names if name not in numbered)


def canonical(path: pathlib.Path, columns: Columns, archs: np.ndarray, space: types.SearchSpace) -> np.ndarray:
    """Returns the canonical rows of int[R, L], which are in the space and distinct.

    Raises:
      ValueError: they are not.
    """
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
    csv_lines.check_case(header, NAMES, path)
    if len(lines) == 1:
        raise ValueError(f"{path} has a header, but no rows")
    columns, faults = {name: [] for name in header}, []
    for place, line in lines[1:]:
        if len(line) != len(header):
            faults.append(f"{path}, {place}: {len(line)} values, but the header names {len(header)} columns")
            continue
        for name, text in zip(header, line, strict=True):
            try:
                columns[name].append(_decisions(text) if name == _ARCH else _number(text))
            except ValueError:
                wanted = "whole numbers from 0, such as 0 1 2" if name == _ARCH else "a number"
                faults.append(f"{path}, {place}, column {name}: {text!r:.60} is not {wanted}")
    files.refuse(faults)
    places = [place for place, _ in lines[1:]]
    lengths = [len(arch) for arch in columns.get(_ARCH, ())]
    for place, length in zip(places, lengths, strict=False):
        if length != lengths[0]:
            raise ValueError(f"{path}, {place}, column {_ARCH}: {length} decisions, but {lengths[0]} in {places[0]}")
    return Columns({name: np.array(values, np.float64) for name, values in columns.items()}, places)


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
        raise ValueError(f"{path} is empty; want the arrays {_ARCH}, validation and test")
    csv_lines.check_case(arrays, NAMES, path)
    num_rows = len(next((values for values in arrays.values() if values.ndim), ()))
    for name, values in arrays.items():
        if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
            raise ValueError(f"{path}, array {name}: want numbers; got {values.dtype}")
        allowed = (2,) if name == _ARCH else (1, 2)
        if values.ndim not in allowed or len(values) != num_rows or 0 in values.shape:
            wanted = f"({num_rows}, decisions)" if name == _ARCH else f"({num_rows},) or ({num_rows}, runs)"
            raise ValueError(f"{path}, array {name}: want the shape {wanted}, rows first; got {values.shape}")
        if np.isinf(values).any():
            raise ValueError(f"{path}, row {np.argwhere(np.isinf(values))[0][0]}, array {name}: infinite")
    values = {name: array.astype(np.float64) for name, array in arrays.items()}
    return Columns(values, [f"row {row}" for row in range(num_rows)])
