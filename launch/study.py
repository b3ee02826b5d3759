"""Runs many seeds of several algorithms on one task or several, with statistics; `launch.report` draws them.

python -m launch.study --algorithms=lanas,regularized_evolution,random --num_seeds=100 --budget=300
python -m launch.study --tasks=nasbench201/cifar10,nasbench201/cifar100,nasbench_macro --protocol=test
python -m launch.study --suite=choosing --data_dir=FOLDER --seed=1000 --num_seeds=50
python -m launch.study --suite=reporting --tasks=lanas_cell/trained,nasbench101_sample/cifar10 --data_dir=FOLDER

Searches look fitness up in tables. For a study of an evaluator of your own, write its values to a file and give that as
--benchmark, see docs/data.md.
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Sequence

import numpy as np
import rich.console
import rich.table
from absl import flags

from common import compilation, tables
from common import config as configs
from common.evaluators import problem, suite
from common.report import units
from common.runs import study
from common.statistics import study as statistics
from common.statistics import suite as suite_statistics
from launch import algorithms, commands

_WIDTH = 160  # characters of a line in a file


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("study", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    commands.define(values, problem.Benchmark(data_dir=os.environ.get("NAS_DATA_DIR")))
    commands.define(values, study.Options())
    commands.define_cache(values)
    names = ", ".join((*algorithms.ALGORITHMS, "package.module:name"))
    default = ["lanas", "regularized_evolution", "local_search", "random"]
    text = f"some of {names}, with their default settings or others: lanas,lanas:height=7:exploration=0.1; "
    text += "lanas+nao: in turn, one round each, on one history"
    flags.DEFINE_list("algorithms", default, text, flag_values=values)
    text = "BENCHMARK or BENCHMARK/DATASET, instead of --benchmark and --dataset; with --suite, some of its tasks; "
    text += "each has a folder in --workdir"
    flags.DEFINE_list("tasks", [], text, flag_values=values)
    text = "tasks of common.evaluators.suite for choosing settings or for reporting"
    flags.DEFINE_enum("suite", None, suite.SUITES, text, flag_values=values)
    values["suite"].help = f"{text}: {', '.join(suite.SUITES)}"


def run(values: flags.FlagValues) -> None:
    """Runs or resumes the study and prints its tables."""
    if not values.algorithms:
        raise ValueError(f"--algorithms is empty; choose some of {', '.join(sorted(algorithms.ALGORITHMS))}")
    options, task, *chosen = configs.gathered(
        lambda: commands.read(values, study.Options()),
        lambda: commands.read(values, problem.Benchmark(data_dir=values.data_dir)),
        *(functools.partial(algorithms.get, name) for name in values.algorithms),
    )
    for algorithm in chosen:
        algorithms.check_objectives(algorithm, options.objectives)
    algorithms.report_maximized(options.objectives)
    reports = study.run(
        _evaluators(values, task),
        chosen,
        options,
        folder_per_task=bool(values.tasks or values.suite),
        flags=values.flag_values_dict(),
    )
    console = rich.console.Console(width=None if sys.stdout.isatty() else _WIDTH)
    for report in () if values.suite else reports.values():
        _print(console, report)
    if len(reports) > 1:
        _print_summary(console, reports)
        print("python -m launch.report with the same --workdir compares the algorithms over all tasks", flush=True)


def _evaluators(values, task):
    if values.suite:
        if given := commands.given(values, ("benchmark", "dataset", "protocol")):
            raise ValueError(f"--suite names the tasks; leave out --{given[0]}")
        made = {one.name: one for one in suite.tasks(values.suite, values.data_dir)}
        for name in values.tasks:
            configs.one_of("task", name, made)
        return [made[name] for name in values.tasks or made]
    if values.tasks and commands.given(values, ("benchmark", "dataset")):
        raise ValueError("give either --tasks or --benchmark and --dataset")
    tasks = [task]
    if values.tasks:
        pairs = [(name, "") if tables.is_file(name) else name.partition("/")[::2] for name in values.tasks]
        tasks = [dataclasses.replace(task, benchmark=name, dataset=dataset or None) for name, dataset in pairs]
    evaluators = [problem.build(task) for task in tasks]
    for task, evaluator in zip(tasks, evaluators, strict=True):
        problem.report(task, evaluator)
    return evaluators


def _print(console, report):
    """Prints the tables of a study.json."""
    where = f"{report['benchmark']}/{report['dataset']}".rstrip("/")
    where = f"{where}, {report['num_seeds']} seeds, {report['budget']} queries"
    header = ["mean", "median", "sd", "found", "s/search", "compile s"]
    rows = []
    for name, record in report["algorithms"].items():
        count = record["queries_to_optimum"]
        numbers = [f"{count[key]:.1f}" for key in ("mean", "median", "sd")] if count else ["-"] * 3
        found = f"{100 * count['found']:.0f} %" if count else "-"
        rows.append([name, *numbers, found, f"{record['seconds_per_search']:.3f}", f"{record['compile_seconds']:.1f}"])
    counts = [record["queries_to_optimum"] for record in report["algorithms"].values()]
    is_lost = any(count and count["found"] < 1 for count in counts)
    lost = f"\na search that did not find it counts as {report['budget']}" if is_lost else ""
    console.print(_table(f"Queries to the optimum\n{where}, {report['protocol']} fitness{lost}", header, rows))
    shown = statistics.shown(list(next(iter(report["algorithms"].values()))["best_fitness"]))
    best, test = [], []
    for name, record in report["algorithms"].items():
        cells = [_percent(record["best_fitness"][queries]) for queries in shown]
        if "simple_regret" in record:
            regrets = [_percent(record["simple_regret"][queries]) for queries in shown]
            cells = [f"{cell} ({regret})" for cell, regret in zip(cells, regrets)]
        best.append([name, *cells])
        means, errors = record["test_of_best"], record["test_of_best_se"]
        test.append([name, *(f"{_percent(means[queries])} ± {_percent(errors[queries])}" for queries in shown)])
    console.print(_table("Best fitness in % (simple regret in points) after queries", shown, best))
    console.print(_table("Test fitness in % (± standard error) of the best after queries", shown, test))
    if len(report["objectives"]) > 1:
        _print_fronts(console, report, shown)
    console.print(f"peak memory {report['peak_memory_mib']:.0f} MiB")


def _print_fronts(console, report, shown):
    """Prints the tables of several objectives of a study.json."""
    front = f"{'the true' if report['front_is_known'] else 'the best known'} front"
    gaps, found = [], []
    for name, record in report["algorithms"].items():
        bands = record["front_intervals"]
        gaps.append([name, *(units.interval(bands["hypervolume_gap"][queries]["mean"], ".2f") for queries in shown)])
        found.append([name, *(units.interval(bands["front_found"][queries]["mean"], ".0f") for queries in shown)])
    where = f"{','.join(report['objectives'])}: means with 95 % intervals after queries"
    console.print(_table(f"Gap to the hypervolume of {front} in %\n{where}", shown, gaps))
    text = f"Share of the {len(report['front_values'])} points of {front} found, in %"
    console.print(_table(f"{text}\n{where}", shown, found))
    pairs = [one for one in report["comparisons"] if one["of"] == "hypervolume"]
    rows = [
        [f"{one['first']} : {one['second']}", units.interval(one["improvement"], ".0f"), f"{one['adjusted']:.2g}"]
        for one in pairs
    ]
    if rows:
        header = ["larger hypervolume in % of pairs of seeds", "p-value, Holm"]
        console.print(_table("Comparisons by final hypervolume", header, rows, first="algorithms"))


def _print_summary(console, reports):
    """Prints the tables over all tasks, if their networks are known."""
    try:
        summary = suite_statistics.summarize(reports)
    except ValueError as error:
        console.print(f"no summary over the tasks: {error}")
        return
    reference, first = suite_statistics.reference_of(reports), next(iter(reports.values()))
    where = f"{len(reports)} tasks, {first['num_seeds']} seeds, {first['budget']} queries"
    where = f"means over tasks with 95 % intervals: {where}"
    found, regrets = [], []
    after = statistics.shown(list(next(iter(summary.values())).normalized_regret), most=4)
    for name, one in summary.items():
        bands = [units.interval(one.found, ".0f"), units.interval(one.queries, ".1f", 1)]
        found.append([name, *bands, f"{one.rank:.2f}", str(len(one.worse)), str(len(one.worst_seed))])
        bands = [units.interval(one.normalized_regret[queries], ".2f") for queries in after]
        regrets.append([name, *(f"{band}, {one.better_left[at]:.1f}" for band, at in zip(bands, after))])
    header = ["found %", "queries", "rank", f"tasks worse than {reference}", "worst seed above its median"]
    console.print(_table(f"Optimum found\n{where}", header, found))
    text = "Regret in % of optimum less mean of all networks, number of better networks left, after queries"
    console.print(_table(f"{text}\n{where}", after, regrets))
    last, by_task = str(first["budget"]), []
    for task, report in reports.items():
        cells = [task]
        for name in summary:
            record = report["algorithms"][name]
            regret = 100 * np.mean(record["by_seed"]["normalized_regret"][last])
            cells.append(f"{regret:.2f} ({100 * record['queries_to_optimum']['found']:.0f} %)")
        by_task.append(cells)
    title = f"Regret in % after {last} queries (found the optimum), by task"
    console.print(_table(title, list(summary), by_task, first="task"))


def _table(title, header, rows, *, first="algorithm"):
    table = rich.table.Table(title=title, min_width=max(map(len, title.splitlines())))  # a title wraps to the table
    table.add_column(first, no_wrap=True)
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
