"""Many seeds of several algorithms on one task or several: statistics, and tables of them. `launch.report` draws them.

python -m launch.study --algorithms=lanas,regularized_evolution,random --num_seeds=100 --budget=300
python -m launch.study --tasks=nasbench201/cifar10,nasbench201/cifar100,nasbench_macro --protocol=test
"""

import contextlib
import json
import resource
import sys
from collections.abc import Sequence

from absl import flags

from common import search
from common.evaluators import benchmark
from common.records import locks, progress, run_dir
from common.statistics import study as studies
from common.statistics import summary
from launch import algorithms, compilation, problem, study_clock, study_part, study_tables
from launch import flags as launch_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("study", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    launch_flags.define_common(values, budget=200)
    names = ", ".join(algorithms.ALGORITHMS)
    default = ["lanas", "regularized_evolution", "local_search", "random"]
    flags.DEFINE_list("algorithms", default, f"some of {names}, with their default settings", flag_values=values)
    text = (
        "BENCHMARK or BENCHMARK/DATASET, several, in place of --benchmark and --dataset: each has a folder in --workdir"
    )
    flags.DEFINE_list("tasks", [], text, flag_values=values)
    flags.DEFINE_integer("num_seeds", 20, "searches of each algorithm", flag_values=values)
    flags.DEFINE_integer("seeds_at_once", 16, "searches side by side; memory grows with it", flag_values=values)
    text = "values of fitness in %, to which queries and training are counted; by default the optimum, where known"
    flags.DEFINE_list("targets", [], text, flag_values=values)


def run(values: flags.FlagValues) -> None:
    """Runs the study, or goes on with it, writes study.json of each task and prints the tables."""
    _check(values)
    compilation.enable_cache(values.compilation_cache_dir)
    evaluators = _evaluators(values)
    searchers = {
        task: {name: algorithms.ALGORITHMS[name](evaluator.space) for name in values.algorithms}
        for task, evaluator in evaluators.items()
    }
    for task, evaluator in evaluators.items():
        for searcher in searchers[task].values():
            search.check(searcher, evaluator, budget=values.budget)
    name = f"{len(evaluators)}_tasks" if values.tasks else values.benchmark
    folder = run_dir.create(values.workdir, command="study", benchmark=name)
    print(f"workdir: {folder}", flush=True)
    folders = {task: folder / task.replace("/", "_") if values.tasks else folder for task in evaluators}
    with contextlib.ExitStack() as stack:
        for inner in dict.fromkeys([folder, *folders.values()]):
            inner.mkdir(exist_ok=True)
            stack.enter_context(locks.hold(inner / "study.lock", what=str(inner)))
        reports = _study(values, evaluators, searchers, folder, folders)
    for report in reports:
        study_tables.show(report)
    if values.tasks:
        print(f"all tasks together: python -m launch.report --workdir={folder}")
    print(f"workdir: {folder}", flush=True)


def _study(values, evaluators, searchers, folder, folders):
    """Runs all of it and returns what study.json says of each task."""
    parts = {
        (name, task): study_part.Part(
            searcher=searcher,
            evaluator=evaluator,
            path=folders[task] / f"history_{name}.npz",
            identity={**_identity(values, evaluator), "algorithm": name},
            seeds=range(values.seed, values.seed + values.num_seeds),
            budget=values.budget,
        )
        for task, evaluator in evaluators.items()
        for name, searcher in searchers[task].items()
    }
    stored = {key: study_part.stored(part) for key, part in parts.items()}
    _write_configs(values, folder, folders)
    targets = {task: _targets(values, evaluator.optimum) for task, evaluator in evaluators.items()}
    reports = {task: _report(values, evaluator) for task, evaluator in evaluators.items()}
    curves: dict[str, dict[str, summary.Curves]] = {task: {} for task in evaluators}
    for (name, task), (told, of_part) in _run_parts(values, parts, stored):
        report = reports[task]
        curves[task][name] = of_part
        after = studies.checkpoints(values.budget)
        report["algorithms"][name] = told | summary.of_algorithm(of_part, after=after, targets=targets[task])
        report["comparisons"] = summary.comparisons(curves[task], targets=targets[task])
        report["peak_memory_mib"] = _peak_memory_mib()
        run_dir.write_arrays(folders[task] / run_dir.CURVES.format(name), of_part._asdict())
        run_dir.write_json(folders[task] / run_dir.STUDY, report)
    return list(reports.values())


def _run_parts(values, parts, stored):
    """Runs each algorithm on each task, tells how far all of it is, and yields (key, what `study_part.run` returns)."""
    done = {key: min(before.count, values.num_seeds) for key, before in stored.items()}
    clock = study_clock.Clock({key: values.num_seeds - count for key, count in done.items()})
    for key, (_, seconds) in stored.items():
        if done[key]:
            left = values.num_seeds - done[key]
            clock.tell(key, seconds=stored[key].seconds_each, compile_seconds=seconds.compile, left=left, begun=False)
    with progress.Progress("study", total=values.num_seeds * len(parts), unit="searches") as live:
        for at, (key, part) in enumerate(parts.items(), start=1):
            name, task = key
            place = f"{name}{f' on {task}' if values.tasks else ''} ({at} of {len(parts)})"

            def on_chunk(now, seconds, compile_seconds, key=key, place=place):
                done[key] = now.count
                left = values.num_seeds - now.count
                clock.tell(key, seconds=seconds, compile_seconds=compile_seconds, left=left)
                live.update(sum(done.values()), f"{place}, {seconds:.3g} s each", left=clock.text())

            if done[key] < values.num_seeds:
                live.update(sum(done.values()), f"compiling {place}", left=clock.text())
            yield key, study_part.run(part, seeds_at_once=values.seeds_at_once, on_chunk=on_chunk)


def _identity(values, evaluator):
    return {
        "benchmark": evaluator.name,
        "protocol": evaluator.protocol,
        "budget": values.budget,
        "seed": values.seed,
    }


def _report(values, evaluator):
    """What study.json says before any algorithm is done."""
    name, _, dataset = evaluator.name.partition("/")
    return {
        **_identity(values, evaluator),
        "benchmark": name,
        "dataset": dataset,
        "num_seeds": values.num_seeds,
        "optimum": evaluator.optimum,
        "algorithms": {},
        "comparisons": [],
    }


def _write_configs(values, folder, folders):
    """Writes config.json, of several tasks for each of them too, as if it had been studied by itself.

    Raises:
      ValueError: the folder is of one task, where several are asked for, or the other way round, or of more tasks.
    """
    config = {"command": "study", "flags": values.flag_values_dict(), **run_dir.environment()}
    names = {task: inner.name for task, inner in folders.items()} if values.tasks else {}
    path = folder / run_dir.CONFIG
    was = json.loads(path.read_text()).get("tasks", {}) if path.exists() else names
    if bool(was) != bool(names) or not was.keys() <= names.keys():
        raise ValueError(
            f"{folder} is of {', '.join(was) or 'one task'}; name all of that to go on, or another --workdir"
        )
    if not names:
        run_dir.write_json(path, config)
        return
    run_dir.write_json(path, {**config, "tasks": names})
    for task, inner in folders.items():
        name, _, dataset = task.partition("/")
        flags_of_task = config["flags"] | {"benchmark": name, "dataset": dataset, "tasks": [], "workdir": str(inner)}
        run_dir.write_json(inner / run_dir.CONFIG, {**config, "flags": flags_of_task})


def _evaluators(values):
    """The evaluators of the tasks by their names, benchmark/dataset."""
    if not values.tasks:
        found = [problem.evaluator(values)]
    else:
        pairs = [task.partition("/")[::2] for task in values.tasks]
        more = {"protocol": values.protocol, "data_dir": values.data_dir}
        found = [benchmark.evaluator(name, dataset=dataset or None, **more) for name, dataset in pairs]
    names = [evaluator.name for evaluator in found]
    if len(set(names)) < len(names):
        raise ValueError(f"--tasks names one of {', '.join(names)} twice")
    return dict(zip(names, found))


def _check(values):
    """Raises a `ValueError` for the first flag that is out of range."""
    launch_flags.check_common(values)
    for name in ("num_seeds", "seeds_at_once"):
        if values[name].value < 1:
            raise ValueError(f"--{name} must be at least 1; got {values[name].value}")
    if values.seed + values.num_seeds > launch_flags.MAX_SEED + 1:
        raise ValueError(f"--seed plus --num_seeds must be at most {launch_flags.MAX_SEED + 1}")
    if not values.algorithms:
        raise ValueError(f"--algorithms is empty; choose some of {', '.join(sorted(algorithms.ALGORITHMS))}")
    if values.tasks and not (values["benchmark"].using_default_value and values["dataset"].using_default_value):
        raise ValueError("give either --tasks or --benchmark and --dataset")
    for name in values.algorithms:
        launch_flags.one_of("algorithms", name, algorithms.ALGORITHMS)
    _targets(values, None)


def _targets(values, optimum):
    """The targets as fractions, the largest first."""
    try:
        targets = sorted({float(target) / 100 for target in values.targets}, reverse=True)
    except ValueError as error:
        raise ValueError(f"--targets must be numbers, in %; got {','.join(values.targets)}") from error
    if not all(0 < target <= 1 for target in targets):
        raise ValueError(f"--targets must lie above 0 and be at most 100, in %; got {','.join(values.targets)}")
    return targets if targets or optimum is None else [optimum]


def _peak_memory_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2 ** (20 if sys.platform == "darwin" else 10), 1)  # macOS counts bytes, Linux KiB


if __name__ == "__main__":
    compilation.use_all_cores()
    sys.exit(main())
