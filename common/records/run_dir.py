"""The folder of a run, and the files in it.

config.json (every flag, versions, device), journal.jsonl (every event), history.npz (all results), metrics.jsonl (one
line a round), result.json. Files are written atomically.
"""

import contextlib
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from common import history as history_lib
from common import paths, types
from common.file_formats import npz, replacing
from common.records import json_files

CONFIG, JOURNAL, HISTORY = "config.json", "journal.jsonl", "history.npz"
METRICS, RESULT, STUDY = "metrics.jsonl", "result.json", "study.json"
BEST = "best.json"  # the genotype of the best architecture, for launch.train --genotype
CURVES = "curves_{}.npz"  # of a study, by algorithm: arrays of seeds times queries
EVENTS = "events"  # the folder of event files, for TensorBoard
CHECKPOINTS, LOCK = "checkpoints", "lock"  # of a training: folder, and file that is locked while it runs
_PROJECT = "nao-lanas-jax"
_PACKAGES = ("jax", "jaxlib", "numpy", "flax", "optax")


def create(workdir: str | os.PathLike | None, *, command: str, benchmark: str) -> pathlib.Path:
    """Returns the folder `workdir`, created if it does not exist; by default a fresh one under runs/. Prints its name.

    Raises:
      ValueError: `workdir` is a file or cannot be made.
    """
    path = paths.path(workdir) if workdir else _fresh(command, benchmark)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"workdir {path} cannot be created: {error.strerror}") from error
    if jax.process_index() == 0:
        print(f"workdir: {path}", flush=True)
    return path


def _fresh(command, benchmark):
    """Returns a folder under runs/ that this process made."""
    when = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{command}-{benchmark}-{when}"
    for attempt in range(1, 1000):
        path = pathlib.Path("runs", name if attempt == 1 else f"{name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
    raise ValueError(f"runs/ already has 999 folders of {name}; name another one with --workdir")


def check_command(folder: pathlib.Path, command: str) -> None:
    """Raises a `ValueError` if a folder has the files of another command, which this one would replace."""
    before = (json_files.read(folder / CONFIG) or {}).get("command", command)
    if before != command:
        raise ValueError(f"{folder} is the folder of a run of launch.{before}; choose another --workdir")


def checksum(arrays: Iterable[np.ndarray]) -> int:
    """Returns the CRC-32 of the bytes of arrays, such as the images or words of a run."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array), found)
    return found


def check_data(folder: str | os.PathLike, before: int | None, now: int | None) -> None:
    """Raises a `ValueError` if the checksum of a run's images or text has changed; None: not known."""
    if None not in (before, now) and before != now:
        raise ValueError(
            f"the images or text of the run in {folder} have changed since it began (checksum {before}, now {now}); "
            "restore them, or start in a fresh folder"
        )


def environment() -> dict[str, Any]:
    """Returns versions and the device, for config.json."""
    devices = jax.devices()
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a checkout that is not installed
        versions[_PROJECT] = importlib.metadata.version(_PROJECT)
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)},
    }


def write_config(folder: pathlib.Path, record: Mapping[str, Any]) -> None:
    """Writes config.json: a record, the environment, and the environments of all starts of the run (`starts`).

    It prints a line if versions differ from those of the start before; files of older versions have that one start.

    Raises:
      ValueError: the config.json of an earlier start is damaged, or has another checksum of the data (`data`).
    """
    for name in (CONFIG, HISTORY, RESULT, STUDY):  # temporary files of killed processes of older versions
        for left in folder.glob(f".{name}.????????"):
            left.unlink(missing_ok=True)
    before = json_files.read(folder / CONFIG) or {}
    check_data(folder, before.get("data"), record.get("data"))
    starts = before.get("starts", [{"versions": before["versions"]}] if "versions" in before else [])
    json_files.check(folder / CONFIG, starts, [{"versions": {"*": str}}], "starts")
    now = environment()
    old, new = starts[-1]["versions"] if starts else now["versions"], now["versions"]
    if changed := [name for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]:
        text = ", ".join(f"{name} was {old[name]}, now {new[name]}" for name in changed)
        print(f"resumed under other versions: {text}; rounding may differ", flush=True)
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(folder / CONFIG, {**record, **now, "starts": [*starts, {"time": when, **now}]})


def write_json(path: str | os.PathLike, value: Mapping[str, Any]) -> None:
    """Writes a JSON file. Numbers that are not finite become null."""
    text = json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"
    with replacing.replacing(path) as file:
        file.write(text.encode())


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file."""
    with replacing.replacing(path) as file:
        file.write(text.encode())


def write_history(path: str | os.PathLike, history: history_lib.History, **more: np.ndarray | float | str) -> None:
    """Writes the history of a search (or of several, with a leading axis of seeds) without its empty rows.

    Args:
      path: an npz file.
      history: a history, or a batch of histories of one size; `others` is written where there are several objectives.
      **more: further arrays for the same file.
    """
    size = int(np.max(history.size))
    names = ("archs", "fitness", "cost", "status", *(("others",) if history.others.shape[-1] else ()))
    rows = {name: np.asarray(history[name]) for name in names}
    batch = np.ndim(history.size)  # 1 where there is an axis of seeds before that of rows
    rows = {name: np.take(values, range(size), axis=batch) for name, values in rows.items()}
    with replacing.replacing(path) as file:
        np.savez_compressed(file, **rows, **more)


def write_arrays(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name, as an npz file."""
    with replacing.replacing(path) as file:
        np.savez_compressed(file, **arrays)


def read_history(path: str | os.PathLike) -> tuple[history_lib.History, dict[str, np.ndarray]]:
    """Reads a file of `write_history`: the history or batch of histories, and the further arrays.

    Raises:
      ValueError: it is missing or damaged; the message names the array.
    """
    arrays = npz.read(path)
    if missing := {"archs", "fitness", "cost", "status"} - arrays.keys():
        raise ValueError(f"{path} is damaged: it lacks the array {min(missing)}")
    rows = {name: arrays.pop(name) for name in ("archs", "fitness", "cost", "status")}
    shape = rows["status"].shape
    rows["others"] = arrays.pop("others", np.zeros((*shape, 0), np.float32))
    for name, values in rows.items():
        is_matrix = name in ("archs", "others")
        is_right = values.ndim in (2, 3) and values.shape[:-1] == shape if is_matrix else values.shape == shape
        kind = np.floating if name in ("fitness", "cost", "others") else np.integer
        if not is_right or len(shape) not in (1, 2) or not np.issubdtype(values.dtype, kind):
            raise ValueError(f"{path} is damaged: the array {name} is {values.dtype} of shape {values.shape}")
    is_measured = rows["status"] == types.MEASURED
    fitness = rows["fitness"][is_measured]
    for name, is_sound in (
        ("archs", np.all(rows["archs"] >= 0)),
        ("status", np.all((rows["status"] >= types.EMPTY) & (rows["status"] <= types.INFEASIBLE))),
        ("fitness", np.all((fitness >= 0) & (fitness <= 1))),
        ("cost", not np.any(rows["cost"][is_measured] < 0)),
        ("others", np.all(np.isfinite(rows["others"][is_measured]))),
    ):
        if not is_sound:
            raise ValueError(f"{path} is damaged: the array {name} has values out of range")
    size = np.sum(rows["status"] != types.EMPTY, axis=-1).astype(np.int32)
    return history_lib.History(**rows, size=size), arrays


def result(
    history: history_lib.History, evaluator: types.Evaluator, *, key: jax.Array, seed: int, seconds: float
) -> dict[str, Any]:
    """Returns the contents of result.json of a search; `best` is null if every evaluation failed.

    Args:
      evaluator: source of the fitness; its name is "benchmark/dataset".
      key: random key of the test evaluation.
      seconds: wall-clock time of the search, earlier runs included.
    """
    index, fitness = (np.asarray(value) for value in history_lib.best(history))
    best = None
    if np.isfinite(fitness):
        arch = np.asarray(history.archs)[index]
        test = None if evaluator.test is None else evaluator.test(key, arch[None])
        best = {
            "arch": arch.tolist(),
            "description": evaluator.space.describe(arch),
            "fitness": float(fitness),
            "test": float(test.fitness[0]) if test is not None and bool(test.ok[0]) else None,
        }
    benchmark, _, dataset = evaluator.name.partition("/")
    return {
        "protocol": evaluator.protocol,
        "benchmark": benchmark,
        "dataset": dataset,
        "seed": seed,
        "queries": int(history.size),
        "infeasible": int(np.sum(np.asarray(history.status) == types.INFEASIBLE)),
        "seconds": round(seconds, 3),
        "best": best,
    }


def _plain(value):
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
