"""Many seeds of several algorithms on a benchmark: statistics, and tables of them. `launch.report` draws them.

python -m launch.study --algorithms=lanas,regularized_evolution,random --num_seeds=100 --budget=300
"""

import json
import pathlib
import resource
import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.table
from absl import flags

from common import history as history_lib
from common import locks, run_dir, search
from common import study as studies
from common.statistics import summary
from launch import algorithms, compilation, problem, progress
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
    flags.DEFINE_integer("num_seeds", 20, "searches of each algorithm", flag_values=values)
    flags.DEFINE_integer("seeds_at_once", 16, "searches side by side; memory grows with it", flag_values=values)
    text = "values of fitness in %, to which queries and training are counted; by default the optimum, where known"
    flags.DEFINE_list("targets", [], text, flag_values=values)


def run(values: flags.FlagValues) -> None:
    """Runs the study, or goes on with it, writes study.json and prints the tables."""
    _check(values)
    compilation.enable_cache(values.compilation_cache_dir)
    evaluator = problem.evaluator(values)
    searchers = {name: algorithms.ALGORITHMS[name](evaluator.space) for name in values.algorithms}
    for searcher in searchers.values():
        search.check(searcher, evaluator, budget=values.budget)
    folder = run_dir.create(values.workdir, command="study", benchmark=values.benchmark)
    print(f"workdir: {folder}", flush=True)
    with locks.hold(folder / "study.lock", what=str(folder)):
        report = _study(values, evaluator, searchers, folder)
    _print_report(report)
    print(f"workdir: {folder}", flush=True)


def _study(values, evaluator, searchers, folder):
    """Runs all of it and returns what study.json says."""
    identity = {
        "benchmark": evaluator.name,
        "protocol": evaluator.protocol,
        "budget": values.budget,
        "seed": values.seed,
    }
    paths = {name: folder / f"history_{name}.npz" for name in searchers}
    for name, path in paths.items():
        _stored(path, {**identity, "algorithm": name})
    config = {"command": "study", "flags": values.flag_values_dict(), **run_dir.environment()}
    run_dir.write_json(folder / run_dir.CONFIG, config)
    benchmark, _, dataset = evaluator.name.partition("/")
    report = {
        "benchmark": benchmark,
        "dataset": dataset,
        "protocol": evaluator.protocol,
        "budget": values.budget,
        "num_seeds": values.num_seeds,
        "seed": values.seed,
        "optimum": evaluator.optimum,
        "algorithms": {},
        "comparisons": [],
    }
    targets, curves = _targets(values, evaluator.optimum), {}
    for name, searcher in searchers.items():
        told, curves[name] = _run_algorithm(values, searcher, evaluator, paths[name], {**identity, "algorithm": name})
        after = studies.checkpoints(values.budget)
        report["algorithms"][name] = told | summary.of_algorithm(curves[name], after=after, targets=targets)
        report["comparisons"] = summary.comparisons(curves, targets=targets)
        report["peak_memory_mib"] = _peak_memory_mib()
        run_dir.write_arrays(folder / run_dir.CURVES.format(name), curves[name]._asdict())
        run_dir.write_json(folder / run_dir.STUDY, report)
    return report


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


def _run_algorithm(values, searcher, evaluator, path, identity):
    """Runs the seeds that the file `path` does not hold yet; returns (what study.json says of them all, curves)."""
    histories, seconds = _stored(path, identity)
    num_done = 0 if histories is None else len(histories.status)
    seeds = range(values.seed, values.seed + values.num_seeds)
    parts = [] if histories is None else [histories]
    before = seconds

    def on_chunk(done, latest, latest_seconds):
        nonlocal seconds
        run_before = seconds.run
        parts.append(latest)
        seconds = search.Seconds(*(np.add(before, latest_seconds).tolist()))
        more = {"study": json.dumps(identity), **seconds._asdict()}
        run_dir.write_history(path, _concatenate(parts), **more)
        left = (seconds.run - run_before) / len(latest.status) * (values.num_seeds - num_done - done)
        live.update(num_done + done, f"{seconds.run / (num_done + done):.3g} s each", seconds_left=left)

    place = f"{searcher.name} ({values.algorithms.index(identity['algorithm']) + 1} of {len(values.algorithms)})"
    with progress.Progress(place, total=values.num_seeds, unit="searches") as live:
        if num_done < values.num_seeds:
            at_once, budget = values.seeds_at_once, values.budget
            search.search_seeds(
                _keys(seeds[num_done:]), searcher, evaluator, budget=budget, seeds_at_once=at_once, on_chunk=on_chunk
            )
    histories = _concatenate(parts)
    seconds_per_search = seconds.run / len(histories.status)
    histories = jax.tree.map(lambda rows: rows[: values.num_seeds], histories)
    test_fitness = studies.test_fitness(_keys(seeds), evaluator, histories.archs)
    told = {
        **studies.statistics(histories, optimum=evaluator.optimum, test_fitness=test_fitness),
        "seconds_per_search": seconds_per_search,
        "compile_seconds": seconds.compile,
    }
    return told, summary.curves(histories, test_fitness)


def _keys(seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def _stored(path: pathlib.Path, identity: dict) -> tuple[history_lib.History | None, search.Seconds]:
    """Returns the histories that an earlier start of the same study left, if it did, and their seconds."""
    if not path.exists():
        return None, search.Seconds(compile=0.0, run=0.0)
    histories, more = run_dir.read_history(path)
    stored = json.loads(str(more["study"]))
    differing = [name for name in identity if stored.get(name) != identity[name]]
    if differing:
        was, now = ({name: side.get(name) for name in differing} for side in (stored, identity))
        raise ValueError(f"{path} is of another study: it has {was}, now asked for {now}; name another --workdir")
    return histories, search.Seconds(compile=float(more["compile"]), run=float(more["run"]))


def _concatenate(parts):
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


def _peak_memory_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2 ** (20 if sys.platform == "darwin" else 10), 1)  # macOS counts bytes, Linux KiB


def _print_report(report):
    console = rich.console.Console()
    where = f"{report['benchmark']}/{report['dataset']}, {report['num_seeds']} seeds, {report['budget']} queries"
    queries = rich.table.Table(title=f"Queries to the optimum\n{where}, {report['protocol']} fitness")
    queries.add_column("algorithm", no_wrap=True)
    for name in ("mean", "median", "sd", "found", "s/search", "compile s"):
        queries.add_column(name, justify="right")
    for name, said in report["algorithms"].items():
        count = said["queries_to_optimum"]
        numbers = [f"{count[key]:.1f}" for key in ("mean", "median", "sd")] if count else ["-"] * 3
        found = f"{100 * count['found']:.0f} %" if count else "-"
        queries.add_row(name, *numbers, found, f"{said['seconds_per_search']:.3f}", f"{said['compile_seconds']:.1f}")
    console.print(queries)
    for key, title in (
        ("best_fitness", "Best fitness in % (simple regret in points) after queries"),
        ("test_of_best", "Test fitness in % of the best after queries"),
    ):
        console.print(_curves(report, key, title))
    console.print(f"peak memory {report['peak_memory_mib']:.0f} MiB")


def _curves(report, key, title):
    """A row an algorithm, a column a checkpoint."""
    shown = _shown(studies.checkpoints(report["budget"]))
    table = rich.table.Table(title=title)
    table.add_column("algorithm", no_wrap=True)
    for queries in shown:
        table.add_column(str(queries), justify="right")
    for name, said in report["algorithms"].items():
        cells = [_percent(said[key][str(queries)]) for queries in shown]
        if key == "best_fitness" and "simple_regret" in said:
            regrets = [_percent(said["simple_regret"][str(queries)]) for queries in shown]
            cells = [f"{cell} ({regret})" for cell, regret in zip(cells, regrets)]
        table.add_row(name, *cells)
    return table


def _percent(value):
    return "-" if value is None else f"{100 * value:.2f}"


def _shown(checkpoints):
    """At most six of the checkpoints: the first four, the middle and the last."""
    if len(checkpoints) <= 6:
        return checkpoints
    return (*checkpoints[:4], checkpoints[max(4, len(checkpoints) // 2)], checkpoints[-1])


if __name__ == "__main__":
    compilation.use_all_cores()
    sys.exit(main())
