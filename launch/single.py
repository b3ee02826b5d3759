"""One search on a benchmark, from the flags to the files of the run: what `launch.lanas` and its like share."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import rich.console
import rich.table
import rich.text
from absl import flags

from common import types
from common.executors import config as executor_config
from common.runs import search as runs
from launch import compilation, problem
from launch import flags as launch_flags

BUDGET = 100
_FAILURES_SHOWN = 3


def define(values: flags.FlagValues) -> None:
    """Defines the flags of every command that runs one search."""
    launch_flags.define_common(values, budget=BUDGET)
    launch_flags.define_executor(values)


def run(
    values: flags.FlagValues,
    *,
    command: str,
    algorithm: str,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
) -> None:
    """Searches, goes on with an earlier start of the same search, writes the files of the run and says what it found.

    Args:
      values: the flags.
      command: the name of the command.
      algorithm: the name of the algorithm.
      config: its settings, a dataclass.
      make_searcher: space -> searcher.

    Raises:
      ValueError: the flags do not suit each other, the folder is of another search or in use, or a file of
        earlier measurements is not sound.
      OSError: the folder cannot be written.
    """
    launch_flags.check_common(values)
    prepare(values)
    search_with(
        values,
        problem.evaluator(values),
        command=command,
        algorithm=algorithm,
        config=config,
        make_searcher=make_searcher,
    )


def prepare(values: flags.FlagValues) -> None:
    """Does what must be done before anything is on the device."""
    if values.executor == "process":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers need the memory
    compilation.enable_cache(values.compilation_cache_dir)


def search_with(
    values: flags.FlagValues,
    evaluator: types.Evaluator,
    *,
    command: str,
    algorithm: str,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
    folder: pathlib.Path | None = None,
    told: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Searches with an evaluator that the caller made, and returns what result.json says; else as `run`.

    Args:
      values: the flags, checked.
      evaluator: what measures.
      command: the name of the command.
      algorithm: the name of the algorithm.
      config: its settings, a dataclass, and those of the measurements if the evaluator's name does not tell.
      make_searcher: space -> searcher.
      folder: of the run, where the caller made it.
      told: what config.json says beside, for reports; of JSON types.
    """
    searcher = make_searcher(evaluator.space)
    result = runs.run(
        evaluator,
        searcher,
        options(values),
        command=command,
        algorithm=algorithm,
        config=config,
        folder=folder,
        notes=told,
        flags=values.flag_values_dict(),
    )
    _print_result(result, searcher.name, evaluator.optimum)
    print(f"workdir: {result['workdir']}", flush=True)
    return result


def options(values: flags.FlagValues) -> runs.Options:
    """Returns the settings of the run that the flags name."""
    names = [field.name for field in dataclasses.fields(runs.Options) if field.name != "workers"]
    workers = launch_flags.config_of(values, executor_config.Config())
    return runs.Options(workers=workers, **{name: values[name].value for name in names})


def _print_result(result, algorithm, optimum):
    table = rich.table.Table(title=f"{algorithm} on {result['benchmark']}/{result['dataset']}", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    rows = {
        "search sees": f"{result['protocol']} fitness",
        "queries": f"{result['queries']} ({result['infeasible']} infeasible)",
        "seconds": f"{result['seconds']:.1f}, compiling included",
    }
    if "failures" in result:
        shown = list(result["failures"].items())[:_FAILURES_SHOWN]
        rows["infeasible"] = "\n".join(f"{count} x {reason}" for reason, count in shown)
    best = result["best"]
    if best is None:
        rows["best"] = "nothing could be measured"
    else:
        rows["best fitness"] = f"{100 * best['fitness']:.2f} %"
        if optimum is not None:
            rows["simple regret"] = f"{100 * (optimum - best['fitness']):.2f} points"
        rows["test fitness"] = "not published" if best["test"] is None else f"{100 * best['test']:.2f} %"
        rows["architecture"] = best["description"]
        rows["row"] = " ".join(map(str, best["arch"]))
    for name, text in rows.items():
        table.add_row(name, rich.text.Text(text))
    rich.console.Console().print(table)
