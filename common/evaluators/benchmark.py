"""Fitness by look-up in a named benchmark or benchmark file: the tabular evaluator that workers can build too."""

import os
import pathlib
from collections.abc import Sequence

from common import tables, types
from common.evaluators import tabular
from common.spaces import limits
from common.tables import columns


def evaluator(
    benchmark: str,
    *,
    dataset: str | None = None,
    protocol: str = "validation",
    data_dir: str | os.PathLike | None = None,
    space: str | None = None,
    runs: str = "mean",
    limit: Sequence[str] = (),
    costs: str | None = None,
) -> types.Evaluator:
    """Returns the evaluator of one dataset of a benchmark.

    Args:
      benchmark: a key of `common.tables.BENCHMARKS`, or a benchmark file (see `common.tables.columns`).
      dataset: one of its datasets; by default the benchmark's default, or its first.
      protocol: fitness that the search sees, "validation" or "test".
      data_dir: folder of the benchmark files.
      space: search space of a benchmark file, by default it follows from the columns; of a published benchmark, a
        variant of its space (`spaces.VARIANTS`).
      runs: "mean" or "sample", see `tabular.evaluator`.
      limit: limits on costs, such as "params<=3e5" (`tabular.costs`); only rows within them are searched.
      costs: file with further costs of the architectures (`columns.read_costs`).

    Raises:
      ValueError: an argument is unknown, the file is missing or damaged, or the benchmark holds only a part of its
        space, which cannot be searched.
    """
    dataset = dataset or tables.get(benchmark).dataset
    table = tables.load_benchmark(benchmark, data_dir, space=space)
    if costs is not None:
        costs = str(tables.find_file(costs, data_dir).absolute())
        table = columns.read_costs(costs, table)
    if limit:
        table = tabular.limited(table, limit)
    made = tabular.evaluator(table, dataset=dataset, protocol=protocol, runs=runs)
    if made.num_archs < made.space.size:
        problem = f"{benchmark} holds {made.num_archs} of the {made.space.size} architectures of {made.space.name}"
        raise ValueError(f"{problem}; a search would propose others: choose a benchmark that holds all of its space")
    if tables.is_file(benchmark):
        benchmark = str(tables.find_file(benchmark, data_dir).absolute())
    folder = None if data_dir is None else str(pathlib.Path(data_dir).absolute())
    settings = {"benchmark": benchmark, "dataset": dataset, "protocol": protocol, "data_dir": folder}
    if space is not None:
        settings["space"] = space
    if runs != "mean":
        settings["runs"] = runs
    if costs is not None:
        settings["costs"] = costs
    if limit:
        settings["limit"] = list(limit)
    return made._replace(limits=limits.texts(limit), recipe=types.Recipe(f"{__name__}.evaluator", settings))
