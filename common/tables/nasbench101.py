"""NAS-Bench-101: 423,624 cells on CIFAR-10, three runs each of 4, 12, 36 and 108 epochs (arXiv:1902.09635).

Metrics: `validation`, `test` and `training_seconds` after 108 epochs, the same with the endings `_4_epochs`,
`_12_epochs` and `_36_epochs` where the file has them, and `million_parameters`.
"""

import array
import base64
import itertools
import pathlib
import struct
from collections.abc import Iterator

import numpy as np
from absl import logging

from common.file_formats import files, json_values, npz, tfrecord
from common.spaces import nasbench101 as space
from common.spaces import nasbench101_graphs
from common.tables import table

NUM_EPOCHS = 108  # of the runs that count as results
# Fields of the messages in `nasbench/lib/model_metrics.proto`.
_EVALUATION, _PARAMETERS = 1, 2
_METRICS = {"validation": 4, "test": 5, "training_seconds": 2}
_SAMPLE_OPERATIONS = (space.INPUT, space.OUTPUT, "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")


def read(path: str | pathlib.Path) -> table.Table:
    """Returns the table of `nasbench_only108.tfrecord` or `nasbench_full.tfrecord`; takes minutes.

    Raises:
      ValueError: if the file is missing, damaged or of another format.
    """
    path = pathlib.Path(path)
    cells: dict[tuple[str, str], int] = {}  # (adjacency, operations) -> the number of the cell
    parameters = array.array("d")  # of each cell
    cell_of_run, epochs = array.array("q"), array.array("q")
    values = {name: array.array("d") for name in _METRICS}
    for cell, num_epochs, num_parameters, measured in _parse_runs(path):
        if cell not in cells:
            cells[cell] = len(cells)
            parameters.append(num_parameters / 1e6)
        cell_of_run.append(cells[cell])
        epochs.append(num_epochs)
        for name, value in measured.items():
            values[name].append(value)
    archs, place = _merge(_rows(path, cells))
    place_of_run, epochs = place[np.array(cell_of_run)], np.array(epochs)
    metrics = {"million_parameters": _runs(place, parameters, len(archs))[:, :1]}
    for num_epochs in np.unique(epochs).tolist():
        ending = "" if num_epochs == NUM_EPOCHS else f"_{num_epochs}_epochs"
        chosen = epochs == num_epochs
        for name, all_values in values.items():
            metrics[name + ending] = _runs(place_of_run[chosen], np.array(all_values)[chosen], len(archs))
    datasets = {"cifar10": {"validation": "validation", "test": "test", "cost": "training_seconds"}}
    origin = "C. Ying et al., github.com/google-research/nasbench"
    return table.published("nasbench101", path, archs, metrics, datasets, space=space.space(), origin=origin)


def read_sample(path: str | pathlib.Path) -> table.Table:
    """Returns the table of `nasbench101_500.npz`: validation accuracies of 292 cells.

    The file has 500 samples of a cell and one of its three runs: `adjacency` (500, 7, 7), `ops` (500, 7),
    `val_accuracy` in percent and `params` in millions. The runs of a row are the distinct accuracies of its cell.

    Raises:
      ValueError: if the file is missing, damaged or of another format.
    """
    path = pathlib.Path(path)
    arrays = npz.read(path)
    with files.reporting(path, "is not the sample nasbench101_500.npz: an array is missing or of another shape"):
        adjacency, labels = arrays["adjacency"], arrays["ops"]
        accuracy, parameters = arrays["val_accuracy"] / 100, arrays["params"]
        names = [[_SAMPLE_OPERATIONS[label] for label in one] for one in labels]
        rows = np.array([space.from_matrix(*cell) for cell in zip(adjacency, names, strict=True)])
        if not accuracy.shape == parameters.shape == (len(rows),):
            raise ValueError
    archs, place = _merge(rows)
    place_of_run, accuracy_of_run = np.unique(np.stack([place, accuracy]), axis=1)
    metrics = {
        "validation": _runs(place_of_run.astype(int), accuracy_of_run, len(archs)),
        "million_parameters": _runs(place, parameters, len(archs))[:, :1],
    }
    notes = "A sample: one to three of the three runs of a cell, and no test accuracy."
    origin = "automl/NASLib, zc_nasbench101.json, from NAS-Bench-101 by C. Ying et al."
    datasets = {"cifar10": {"validation": "validation"}}
    return table.published(
        "nasbench101_sample", path, archs, metrics, datasets, space=space.space(), origin=origin, notes=notes
    )


def _parse_runs(path) -> Iterator[tuple[tuple[str, str], int, int, dict[str, float]]]:
    """Yields (cell, epochs, parameters, metrics) of each training run of the file."""
    for i, record in enumerate(tfrecord.read(path)):
        if i % 200_000 == 0:
            logging.info("read %d runs of %s", i, path)
        try:
            _, num_epochs, adjacency, operations, encoded = json_values.parse(record)
            num_parameters, measured = _parse_metrics(base64.b64decode(encoded, validate=True))
            if not isinstance(adjacency, str) or not isinstance(operations, str) or "," not in operations:
                raise ValueError
            if not 0 < num_epochs < 1 << 20:
                raise ValueError
            if not all(isinstance(value, float) and value >= 0 for value in measured.values()):
                raise ValueError
            num_parameters = float(num_parameters)
            yield (adjacency, operations), int(num_epochs), num_parameters, measured
        except (ValueError, TypeError, LookupError, ArithmeticError, struct.error) as error:
            raise ValueError(f"{path}: record {i} is not a NAS-Bench-101 record") from error


def _rows(path, cells):
    """Returns int8[n, 26] of cells as in the file: v * v adjacency bits, and v operations separated by commas.

    Like `space.from_matrix`, but for all cells of one size at once.
    """
    rows = np.zeros((len(cells), len(space.space().num_choices)), np.int8)
    ids = {name: i for i, name in enumerate(space.OPERATIONS)}
    of_size: dict[int, list[tuple[int, str, list[int]]]] = {}
    for i, (adjacency, operations) in enumerate(cells):
        first, *inner, last = operations.split(",")
        size = len(inner) + 2
        is_cell = (first, last) == (space.INPUT, space.OUTPUT) and set(inner) <= set(ids) and size <= space.MAX_VERTICES
        if not is_cell or len(adjacency) != size**2 or set(adjacency) - set("01"):
            raise ValueError(f"{path}: {adjacency:.60} with {operations:.60} is not a cell of NAS-Bench-101")
        of_size.setdefault(size, []).append((i, adjacency, [ids[name] for name in inner]))
    for size, some in of_size.items():
        at, texts, labels = zip(*some, strict=True)
        bits = np.frombuffer("".join(texts).encode(), np.uint8).reshape(len(at), size, size) - ord("0")
        if np.tril(bits).any():
            bad = texts[int(np.argmax(np.tril(bits).any(axis=(1, 2))))]
            raise ValueError(f"{path}: the adjacency {bad:.60} of {size} vertices is not strictly upper triangular")
        places = [*range(size - 1), space.MAX_VERTICES - 1]  # missing vertices are the last but the output
        for source, target in itertools.combinations(range(size), 2):
            rows[at, nasbench101_graphs.EDGES.index((places[source], places[target]))] = bits[:, source, target]
        rows[at, nasbench101_graphs.NUM_EDGES : nasbench101_graphs.NUM_EDGES + size - 2] = labels
    return rows


def _merge(rows):
    """Returns (distinct canonical rows [R, 26], the place among them of each of `rows` [n, 26])."""
    canonical = np.asarray(space.space().canonicalize(rows.astype(np.int32))).astype(np.int8)
    archs, place = np.unique(canonical, axis=0, return_inverse=True)
    return archs, place.reshape(-1)


def _runs(place, values, num_rows):
    """Returns float[R, S], the values of each row in the given order, padded with NaN."""
    place, values = np.asarray(place), np.asarray(values, np.float64)
    order = np.argsort(place, kind="stable")
    count = np.bincount(place, minlength=num_rows)
    rank = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
    runs = np.full((num_rows, int(count.max())), np.nan)
    runs[place[order], rank] = values[order]
    return runs


def _parse_metrics(message: bytes) -> tuple[int, dict[str, float]]:
    """Returns (parameters, metrics at the end of training) of a serialized `ModelMetrics`."""
    fields = list(_parse_fields(message))
    evaluations = [value for field, value in fields if field == _EVALUATION]
    if len(evaluations) != 3:
        raise ValueError(f"{len(evaluations)} evaluations instead of 3: before, half way and after training")
    last = dict(_parse_fields(evaluations[2]))
    return dict(fields).get(_PARAMETERS, 0), {name: last[field] for name, field in _METRICS.items()}


def _parse_fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yields (number, value) of the fields of a protocol buffer; eight bytes are a float64."""
    at = 0
    while at < len(message):
        tag, at = _parse_varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _parse_varint(message, at)
        elif kind == 1:
            (value,), at = struct.unpack_from("<d", message, at), at + 8
        elif kind == 2:
            length, at = _parse_varint(message, at)
            value, at = message[at : at + length], at + length
        elif kind == 5:
            (value,), at = struct.unpack_from("<f", message, at), at + 4
        else:
            raise ValueError(f"unknown protocol buffer wire type {kind}")
        if at > len(message):
            raise ValueError("a field ends after its message")
        yield tag >> 3, value


def _parse_varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
