"""Runs many seeds of several algorithms on one task or several, with statistics; `launch.report` draws them.

python -m launch.study --algorithms=lanas,regularized_evolution,random --num_seeds=100 --budget=300
python -m launch.study --tasks=nasbench201/cifar10,nasbench201/cifar100,nasbench_macro --protocol=test
python -m launch.study --suite=choosing --data_dir=FOLDER --seed=1000 --num_seeds=50
"""

import dataclasses
import os
import sys
from collections.abc import Sequence

import rich.console
import rich.table
from absl import flags

from common import compilation, tables
from common.evaluators import problem, suite
from common.runs import study
from common.statistics import study as statistics
from launch import algorithms
from launch import flags as launch_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("study", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    launch_flags.define(values, problem.Benchmark(data_dir=os.environ.get("NAS_DATA_DIR")))
    launch_flags.define(values, study.Options())
    launch_flags.define_cache(values)
    names = ", ".join((*algorithms.ALGORITHMS, "package.module:name"))
    default = ["lanas", "regularized_evolution", "local_search", "random"]
    flags.DEFINE_list("algorithms", default, f"some of {names}, with their default settings", flag_values=values)
    text = "BENCHMARK or BENCHMARK/DATASET, instead of --benchmark and --dataset; each has a folder in --workdir"
    flags.DEFINE_list("tasks", [], text, flag_values=values)
    text = "tasks of common.evaluators.suite for choosing settings or for reporting, instead of --tasks"
    flags.DEFINE_enum("suite", None, suite.SUITES, text, flag_values=values)


def run(values: flags.FlagValues) -> None:
    """Runs or resumes the study and prints its tables."""
    if not values.algorithms:
        raise ValueError(f"--algorithms is empty; choose some of {', '.join(sorted(algorithms.ALGORITHMS))}")
    options = launch_flags.read(values, study.Options())
    task = launch_flags.read(values, problem.Benchmark(data_dir=values.data_dir))
    compilation.enable_cache(values.compilation_cache_dir)
    reports = study.run(
        _evaluators(values, task),
        [algorithms.get(name) for name in values.algorithms],
        options,
        folder_per_task=bool(values.tasks or values.suite),
        flags=values.flag_values_dict(),
    )
    for report in reports.values():
        _print(report)
    if len(reports) > 1:
        print("python -m launch.report with the same --workdir compares the algorithms over all tasks", flush=True)


def _evaluators(values, task):
    if values.suite:
        if given := launch_flags.given(values, ("benchmark", "dataset", "tasks", "protocol")):
            raise ValueError(f"--suite names the tasks; leave out --{given[0]}")
        return suite.tasks(values.suite, values.data_dir)
    if values.tasks and launch_flags.given(values, ("benchmark", "dataset")):
        raise ValueError("give either --tasks or --benchmark and --dataset")
    tasks = [task]
    if values.tasks:
        pairs = [(name, "") if tables.is_file(name) else name.partition("/")[::2] for name in values.tasks]
        tasks = [dataclasses.replace(task, benchmark=name, dataset=dataset or None) for name, dataset in pairs]
    return [problem.build(task) for task in tasks]


def _print(report):
    """Prints the tables of a study.json."""
    console = rich.console.Console()
    where = f"{report['benchmark']}/{report['dataset']}, {report['num_seeds']} seeds, {report['budget']} queries"
    header = ["mean", "median", "sd", "found", "s/search", "compile s"]
    rows = []
    for name, record in report["algorithms"].items():
        count = record["queries_to_optimum"]
        numbers = [f"{count[key]:.1f}" for key in ("mean", "median", "sd")] if count else ["-"] * 3
        found = f"{100 * count['found']:.0f} %" if count else "-"
        rows.append([name, *numbers, found, f"{record['seconds_per_search']:.3f}", f"{record['compile_seconds']:.1f}"])
    console.print(_table(f"Queries to the optimum\n{where}, {report['protocol']} fitness", header, rows))
    shown = [str(queries) for queries in statistics.shown(statistics.checkpoints(report["budget"]))]
    best, test = [], []
    for name, record in report["algorithms"].items():
        cells = [_percent(record["best_fitness"][queries]) for queries in shown]
        if "simple_regret" in record:
            regrets = [_percent(record["simple_regret"][queries]) for queries in shown]
            cells = [f"{cell} ({regret})" for cell, regret in zip(cells, regrets)]
        best.append([name, *cells])
        test.append([name, *(_percent(record["test_of_best"][queries]) for queries in shown)])
    console.print(_table("Best fitness in % (simple regret in points) after queries", shown, best))
    console.print(_table("Test fitness in % of the best after queries", shown, test))
    console.print(f"peak memory {report['peak_memory_mib']:.0f} MiB")


def _table(title, header, rows):
    table = rich.table.Table(title=title)
    table.add_column("algorithm", no_wrap=True)
    for name in header:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _percent(fraction):
    return "-" if fraction is None else f"{100 * fraction:.2f}"


if __name__ == "__main__":
    compilation.use_all_cores()
    sys.exit(main())
