"""Benchmarks as tables: published ones by name, users' own as files.

A new published benchmark is one reader and one line in `BENCHMARKS`; for files see `common.tables.columns`.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from common import spaces
from common.tables import column_files, columns, nasbench101, nasbench201, nasbench_macro, table

_PACKAGED = pathlib.Path(__file__).parent / "data"


class Benchmark(NamedTuple):
    """Files and reader of a benchmark."""

    space: str | None = None  # the name of its search space; None: that of the file
    dataset: str | None = None  # the default dataset; None: the first of the table
    read: Callable[[pathlib.Path], table.Table] | None = None  # a source; None if the table ships with the package
    sources: tuple[str, ...] = ()  # names of published files and folders, in order of preference
    origin: str = ""  # where to get the sources, for error messages


_NASBENCH101 = ("nasbench_full.tfrecord", "nasbench_only108.tfrecord")
_NASBENCH201 = (
    "nasbench201.npz",
    "nasbench201.csv.gz",
    "NATS-tss-v1_0-3ffb9-simple",
    "NATS-tss-v1_0-3ffb9.pickle.pbz2",
    "NAS-Bench-201-v1_1-096897.pth",
)
_SAMPLE, _MACRO = ("nasbench101_500.npz",), ("nas-bench-macro_cifar10.json",)

BENCHMARKS: dict[str, Benchmark] = {
    "digits_convnet": Benchmark("convnet", "digits"),
    "nasbench101": Benchmark(
        "nasbench101", "cifar10", nasbench101.read, _NASBENCH101, "github.com/google-research/nasbench"
    ),
    "nasbench101_sample": Benchmark(
        "nasbench101", "cifar10", nasbench101.read_sample, _SAMPLE, "zc_nasbench101.json of github.com/automl/NASLib"
    ),
    "nasbench201": Benchmark("nasbench201", "cifar10", nasbench201.read, _NASBENCH201, "github.com/D-X-Y/NATS-Bench"),
    "nasbench_macro": Benchmark(
        "nasbench_macro", "cifar10", nasbench_macro.read, _MACRO, "github.com/xiusu/NAS-Bench-Macro"
    ),
}


def get(name: str) -> Benchmark:
    """Returns the record of a benchmark by name or file, or raises a `ValueError` that lists the names."""
    if is_file(name):
        return Benchmark()
    if name not in BENCHMARKS:
        names = ", ".join(sorted(BENCHMARKS))
        raise ValueError(f"unknown benchmark {name!r}; choose one of {names}, or give a file .csv, .npz or .table")
    return BENCHMARKS[name]


def is_file(name: str) -> bool:
    """Returns whether a benchmark is named by its file: one of the user's own, or a table."""
    return name.endswith((*column_files.SUFFIXES, table.SUFFIX))


def find_file(name: str, data_dir: str | os.PathLike | None) -> pathlib.Path:
    """Returns the path of a benchmark file: in `data_dir` if it is there, else as named."""
    inside = pathlib.Path(data_dir or ".", name)
    return inside if inside.is_file() else pathlib.Path(name)


def load_benchmark(name: str, data_dir: str | os.PathLike | None = None, *, space: str | None = None) -> table.Table:
    """Returns the table of a benchmark: packaged, from a table file, or read from a published or a user's own file.

    Args:
      name: a key of `BENCHMARKS`, or a file (see `common.tables.columns`) with the suffix .csv, .npz or .table.
      data_dir: the folder that has the file, or `NAME.table` or a published file, directly or in its folder NAME.
      space: of a file .csv or .npz, the name of its search space; of a published benchmark, a variant of its space
        with other features (`spaces.VARIANTS`).

    Raises:
      ValueError: if there is no such benchmark or file, or the file is damaged.
    """
    if is_file(name):
        path = find_file(name, data_dir)
        if path.suffix in column_files.SUFFIXES:
            return columns.read(path, space)
        loaded = table.load(path)
        if space not in (None, loaded.info.space):
            raise ValueError(f"{path} is of the space {loaded.info.space}, not {space}")
        return loaded
    benchmark = get(name)
    if space is not None:
        if benchmark.space not in (space, spaces.VARIANTS.get(space, (None,))[0]):
            raise ValueError(f"benchmark {name} is of the space {benchmark.space}, not {space}; leave the space out")
        loaded = load_benchmark(name, data_dir)
        return dataclasses.replace(loaded, info=dataclasses.replace(loaded.info, space=space))
    if benchmark.read is None:
        packaged = _PACKAGED / f"{name}{table.SUFFIX}"
        if not packaged.is_file():
            command = f"python -m launch.build_table --benchmark={name} --output={packaged}"
            raise ValueError(f"no table at {packaged}, where it ships with the package; make it with `{command}`")
        return table.load(packaged)
    found = find_source(name, data_dir)
    loaded = table.load(found) if found.suffix == table.SUFFIX else benchmark.read(found)
    if loaded.info.benchmark != name:
        raise ValueError(f"{found} holds the benchmark {loaded.info.benchmark}, not {name}")
    return loaded


def find_source(name: str, data_dir: str | os.PathLike | None) -> pathlib.Path:
    """Returns the table file or the published file of a published benchmark in `data_dir`, or in its folder there.

    Raises:
      ValueError: there is none; the message says how to get it.
    """
    benchmark = get(name)
    command = f"python -m launch.build_table --benchmark={name} --source=FILE --output=DATA_DIR/{name}{table.SUFFIX}"
    advice = f"get {' or '.join(benchmark.sources)} from {benchmark.origin}, and run `{command}`"
    if data_dir is None:
        raise ValueError(f"benchmark {name} does not ship with the package: give --data_dir; {advice}")
    data_dir = pathlib.Path(data_dir)
    files = (f"{name}{table.SUFFIX}", *benchmark.sources)
    paths = [folder / file for file in files for folder in (data_dir, data_dir / name)]
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        raise ValueError(f"no file of benchmark {name}; looked for {', '.join(map(str, paths))}; {advice}")
    return found
