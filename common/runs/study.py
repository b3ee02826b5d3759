"""Studies: many seeds of several algorithms on one task or several, resumable, with statistics in study.json."""

import contextlib
import functools
import json
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, one_round, search, types
from common import config as configs
from common import objectives as objectives_lib
from common import warm_up as warm_up_lib
from common.evaluators import problem
from common.records import locks, progress, run_dir
from common.runs import study_files
from common.statistics import hypervolumes
from common.statistics import study as statistics


@configs.dataclass
class Options:
    """Settings of a study."""

    budget: Annotated[int, "architectures to evaluate in each search", configs.Range(at_least=1)] = 200
    seed: Annotated[int, "first seed", configs.Range(at_least=0, at_most=configs.MAX_SEED)] = 0
    num_seeds: Annotated[int, "searches of each algorithm", configs.Range(at_least=1, at_most=100_000)] = 20
    seeds_at_once: Annotated[int, "searches to run side by side; memory grows with it", configs.Range(at_least=1)] = 16
    targets: Annotated[
        tuple[float, ...],
        "fitness values in %, to which queries and training time are reported; by default the optimum, where known",
        configs.Range(above=0, at_most=100),
    ] = ()
    checkpoints: Annotated[
        tuple[int, ...],
        "numbers of queries after which to report, beside the budget; by default every 50",
        configs.Range(at_least=1),
    ] = ()
    objectives: Annotated[tuple[str, ...], problem.OBJECTIVES] = ("fitness",)
    warm_up: warm_up_lib.By = None
    num_warm_up: warm_up_lib.Num = 10
    workdir: Annotated[str | None, "folder of the run, to start or to resume; by default a new one under runs/"] = None

    def __post_init__(self):
        last, most = max(self.checkpoints, default=0), configs.MAX_SEED + 1
        configs.gathered(
            lambda: objectives_lib.parse(self.objectives),
            lambda: configs.require(
                (self.seed + self.num_seeds <= most, f"seed plus num_seeds must be at most {most}"),
                (last <= self.budget, f"checkpoints must be at most the budget, {self.budget}; got {last}"),
            ),
        )


@compilation.in_32_bits
def run(
    evaluators: Sequence[types.Evaluator],
    algorithms: Sequence[types.Algorithm],
    options: Options,
    *,
    folder_per_task: bool = False,
    flags: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Runs or resumes a study, writes config.json, study.json, histories and curves, and returns study.json by task.

    Args:
      evaluators: one for each task; must be traceable.
      algorithms: with different names.
      folder_per_task: whether each task has its own folder in the workdir; several tasks always do.
      flags: of the command, for config.json; by default made of the other arguments.

    Raises:
      ValueError: a task is given twice, a searcher does not suit a task, or the workdir is of another study.
    """
    tasks = {evaluator.name: evaluator for evaluator in evaluators}
    if len(tasks) < len(evaluators) or not tasks:
        names = ", ".join(evaluator.name for evaluator in evaluators)
        raise ValueError(f"tasks must be different, and at least one; got {names or 'none'}")
    names = [algorithm.name for algorithm in algorithms]
    if len(set(names)) < len(names):
        raise ValueError(f"algorithms must be different; got {', '.join(names)}; leave one out")
    folder_per_task |= len(tasks) > 1
    searchers = _searchers(tasks, algorithms, options)
    configs.gathered(
        *(
            functools.partial(
                one_round.check_sizes, searcher, tasks[task].space, budget=options.budget, evaluator=tasks[task]
            )
            for (_, task), searcher in searchers.items()
        )
    )
    label = f"{len(tasks)}_tasks" if folder_per_task else next(iter(tasks)).partition("/")[0]
    workdir = run_dir.create(options.workdir, command="study", benchmark=label)
    run_dir.check_command(workdir, "study")
    folders = {task: workdir / task.replace("/", "_") if folder_per_task else workdir for task in tasks}
    parts = {}
    for (name, task), searcher in searchers.items():
        identity = {**_identity(tasks[task], options), "algorithm": name}
        parts[name, task] = study_files.Part(tasks[task], searcher, folders[task], identity)
    if flags is None:
        flags = {**configs.to_json(options), "algorithms": names, "tasks": list(tasks) if folder_per_task else []}
    config = {"command": "study", "flags": dict(flags), "algorithms": names}
    with contextlib.ExitStack() as stack:
        for folder in dict.fromkeys([workdir, *folders.values()]):
            folder.mkdir(exist_ok=True)
            stack.enter_context(locks.hold(folder / "study.lock", what=str(folder)))
        counts = {key: study_files.stored(part)[1] for key, part in parts.items()}
        sizes = max(counts.values()), options.num_seeds
        before = {task: study_files.check_kept(folder, names, *sizes) for task, folder in folders.items()}
        study_files.write_configs(config, workdir, folders if folder_per_task else {})
        return _run_parts(parts, counts, before, options)


def _searchers(tasks, algorithms, options):
    """Returns the searcher of each algorithm and task."""
    searchers = {}
    for task, evaluator in tasks.items():
        objectives = objectives_lib.of(options.objectives, evaluator)
        for one in algorithms:
            config = one.for_space(evaluator.space, one.config)
            searcher = objectives_lib.searcher(one, evaluator.space, config, objectives)
            how = {"by": options.warm_up, "num": options.num_warm_up}
            searchers[one.name, task] = warm_up_lib.searcher(searcher, evaluator.space, evaluator.costs, **how)
    return searchers


def _run_parts(parts, counts, before, options):
    """Runs each algorithm on each task and writes study.json after each; returns the reports by task."""
    reports: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, statistics.Curves]] = {}
    after = sorted({*options.checkpoints, options.budget}) if options.checkpoints else None
    evaluators = {task: part.evaluator for (_, task), part in parts.items()}
    fitness = {task: statistics.fitness_of_all(evaluator) for task, evaluator in evaluators.items()}
    several_objectives = {task: _Fronts(evaluator, options) for task, evaluator in evaluators.items()}
    several = len({task for _, task in parts}) > 1
    with progress.Progress("study", total=options.num_seeds * len(parts), unit="searches") as live:
        for at, ((name, task), part) in enumerate(parts.items(), start=1):
            place = f"{name}{f' on {task}' if several else ''} ({at} of {len(parts)})"

            def show(count, seconds_each, key=(name, task), place=place):
                counts[key] = count
                live.update(sum(counts.values()), f"{place}, {seconds_each:.3g} s each")

            if counts[name, task] < options.num_seeds:
                live.update(sum(counts.values()), f"compiling {place}")
            (histories, seconds), evaluator = _search(part, options, show), part.evaluator
            test_fitness = statistics.test_fitness(_keys(options), evaluator, histories.archs)
            found = curves.setdefault(task, {})
            found[name] = statistics.curves(histories, test_fitness)
            targets = sorted({target / 100 for target in options.targets}, reverse=True)
            targets = targets or ([] if evaluator.optimum is None else [evaluator.optimum])
            report = reports.setdefault(task, _report(evaluator, options, fitness[task]))
            settings = {"optimum": evaluator.optimum, "targets": targets, "fitness": fitness[task], "after": after}
            record = statistics.of_algorithm(found[name], **settings)
            report["algorithms"][name] = {**record, **seconds}
            report["comparisons"] = statistics.comparisons(found, targets=targets)
            checkpoints = after or statistics.checkpoints(options.budget)
            more = several_objectives[task].add(name, histories, report, checkpoints)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS reports bytes, Linux KiB
            report["peak_memory_mib"] = round(peak / 2 ** (20 if sys.platform == "darwin" else 10), 1)
            run_dir.write_arrays(part.folder / run_dir.CURVES.format(name), found[name]._asdict() | more)
            if report["algorithms"].keys() >= set(before[task]):  # never fewer than an earlier start reported
                run_dir.write_json(part.folder / run_dir.STUDY, report)
    return reports


class _Fronts:
    """Statistics of a task with several objectives."""

    def __init__(self, evaluator, options):
        self._objectives = objectives_lib.of(options.objectives, evaluator)
        several = len(self._objectives) > 1
        self._scale = hypervolumes.of_table(evaluator, self._objectives) if several else None
        self._values: dict[str, np.ndarray] = {}
        self._curves: dict[str, hypervolumes.Curves] = {}

    def add(self, name, histories, report, after):
        """Adds the searches of an algorithm to the report of the task; returns their curves by name."""
        if len(self._objectives) == 1:
            return {}
        self._values[name] = objectives_lib.values(histories)
        scale, again = self._scale, [name]
        if scale is None:  # the best known front, which each algorithm changes
            points = np.concatenate([values.reshape(-1, values.shape[-1]) for values in self._values.values()])
            scale, again = hypervolumes.of_values(points), list(self._values)
            if scale is None:
                raise ValueError(f"no evaluation of {', '.join(self._values)} succeeded, so there is no front")
        for one in again:
            self._curves[one] = hypervolumes.curves(self._values[one], scale)
            record = hypervolumes.of_algorithm(self._curves[one], scale, after=after)
            report["algorithms"][one] |= record
        report["comparisons"] += hypervolumes.comparisons(self._curves)
        report |= hypervolumes.describe(scale, self._objectives)
        return self._curves[name]._asdict()


def _search(part, options, show):
    """Runs the seeds that the file lacks; returns the histories of all, and their seconds as study.json has them."""
    histories, count, before = study_files.stored(part)
    found = [] if histories is None else [histories]
    total = before

    def keep(done, latest, seconds):
        nonlocal total
        found.append(latest)
        total = search.Seconds(*np.add(before, seconds).tolist())
        whole = jax.tree.map(lambda *rows: np.concatenate(rows), *found)
        run_dir.write_history(part.path, whole, study=json.dumps(part.identity), **total._asdict())
        show(len(whole.status), seconds.run / done)

    if count < options.num_seeds:
        settings = {"budget": options.budget, "seeds_at_once": options.seeds_at_once, "on_chunk": keep}
        search.search_seeds(_keys(options, count), part.searcher, part.evaluator, **settings)
    whole = jax.tree.map(lambda *rows: np.concatenate(rows), *found)
    seconds = {"seconds_per_search": total.run / len(whole.status), "compile_seconds": total.compile}
    return whole, seconds


def _identity(evaluator, options):
    identity = {"benchmark": evaluator.name, "protocol": evaluator.protocol, "limits": list(evaluator.limits)}
    identity["objectives"] = list(objectives_lib.of(options.objectives, evaluator).texts)
    if options.warm_up:
        identity["warm_up"] = f"{options.num_warm_up} by {options.warm_up}"
    return {**identity, "budget": options.budget, "seed": options.seed}


def _report(evaluator, options, fitness):
    """Returns the contents of study.json before any algorithm is done."""
    name, _, dataset = evaluator.name.partition("/")
    report = {**_identity(evaluator, options), "benchmark": name, "dataset": dataset, "num_seeds": options.num_seeds}
    scale = {} if fitness is None else {"mean_fitness": float(fitness.mean())}
    return {**report, "optimum": evaluator.optimum, **scale, "algorithms": {}, "comparisons": []}


def _keys(options, first=0):
    return jnp.stack([jax.random.key(options.seed + at) for at in range(first, options.num_seeds)])
