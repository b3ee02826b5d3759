"""Flags, evaluator and result table of the commands that run one search."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import rich.console
import rich.table
import rich.text
from absl import flags

from common import compilation, plugins, types
from common import config as configs
from common.evaluators import problem, training_config
from common.runs import search as runs
from launch import flags as launch_flags

SUPERNET, PREFIX, CUSTOM = "supernet", "proxy_", "package.module:name"
EVALUATORS = ("benchmark", "training", SUPERNET)
_FLAGS = {  # prefix of flags -> the evaluators to which they apply
    "benchmark": ("benchmark",),
    "dataset": EVALUATORS,
    "limit": ("benchmark", "training", CUSTOM),
    "protocol": EVALUATORS,
    PREFIX: ("training", SUPERNET),
    **dict.fromkeys((SUPERNET, "score_", "schedule", "num_blocks", "rerank", "few_shot_"), (SUPERNET,)),
}
_FAILURES_SHOWN = 3


def define(values: flags.FlagValues) -> None:
    """Defines the flags of every command that runs one search, those of shared weights excepted."""
    launch_flags.define(values, problem.Benchmark(data_dir=os.environ.get("NAS_DATA_DIR")))
    values["space"].help = (
        "search space, such as nao_small or lanas_oneshot; of a benchmark file it follows from the columns; or "
        f"{CUSTOM} of a SearchSpace, or of a function that returns one"
    )
    text = (
        "source of fitness: benchmark (--benchmark), training (--space, --dataset, --proxy_*), supernet (--supernet*, "
        f"--score_*), or {CUSTOM} of an Evaluator, or of a function (space) -> Evaluator"
    )
    flags.DEFINE_string("evaluator", "benchmark", text, flag_values=values)
    launch_flags.define(values, runs.Options())
    launch_flags.define(values, training_config.Config(), prefix=PREFIX, note="evaluator training")
    launch_flags.define_cache(values)


def run(values: flags.FlagValues, algorithm: types.Algorithm, *, command: str) -> None:
    """Runs or resumes a search without shared weights and prints the result.

    Args:
      values: the flags.
      algorithm: the algorithm; flags given on the command line replace its settings.
      command: name of the command.

    Raises:
      ValueError: flags do not belong together, the folder belongs to another search or is in use, or a file of
        earlier measurements is invalid.
      OSError: the folder cannot be written.
    """
    run_options = options(values)
    settings(values, algorithm)  # mistakes are found before data is loaded
    prepare(values)
    task = problem_of(values)
    if isinstance(task, problem.Training):
        from common.datasets import images

        images.tell(images.load(task.dataset, task.data_dir))
    evaluator = problem.build(task)
    problem.tell(task, evaluator)
    config = settings(values, algorithm, evaluator.space)
    result = runs.run(
        evaluator,
        algorithm.searcher(evaluator.space, config, name=algorithm.name),
        run_options,
        command=command,
        algorithm=algorithm.name,
        config=config,
        flags=values.flag_values_dict(),
    )
    print_result(result, algorithm.name, evaluator.optimum)
    print(f"workdir: {result['workdir']}", flush=True)


def settings(values: flags.FlagValues, algorithm: types.Algorithm, space: types.SearchSpace | None = None) -> Any:
    """Returns the settings of an algorithm: its own, those for the space, and above all those given as flags."""
    if algorithm.config is None:
        return {}
    config = algorithm.config if space is None else algorithm.for_space(space, algorithm.config)
    return launch_flags.read(values, config)


def problem_of(values: flags.FlagValues) -> problem.Problem:
    """Returns the problem that the flags name.

    Raises:
      ValueError: a flag is out of range, or flags do not belong together.
    """
    check_evaluator(values)
    if plugins.is_path(values.evaluator):
        return problem.Custom(values.evaluator, values.space)
    if values.evaluator == "benchmark":
        return launch_flags.read(values, problem.Benchmark(data_dir=values.data_dir))
    if not values.space:
        raise ValueError("--evaluator=training needs --space, such as --space=nao_small")
    trained = launch_flags.read(values, problem.Training(data_dir=values.data_dir))
    return dataclasses.replace(trained, proxy=launch_flags.read(values, training_config.Config(), prefix=PREFIX))


def check_evaluator(values: flags.FlagValues) -> None:
    """Raises a `ValueError` unless --evaluator is known and all flags given apply to it."""
    kind = CUSTOM if plugins.is_path(values.evaluator) else values.evaluator
    configs.one_of("evaluator", kind, (*EVALUATORS, CUSTOM))
    for prefix, kinds in _FLAGS.items():
        if kind not in kinds and (given := launch_flags.given(values, [n for n in values if n.startswith(prefix)])):
            raise ValueError(f"--{given[0]} is not for --evaluator={values.evaluator}; leave it out")


def prepare(values: flags.FlagValues) -> None:
    """Sets up the process, before anything is on the device."""
    if values.executor == "process":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers need the memory
    compilation.enable_cache(values.compilation_cache_dir)


def options(values: flags.FlagValues) -> runs.Options:
    """Returns the settings of the run that the flags name."""
    return launch_flags.read(values, runs.Options(budget=values["budget"].default))


def print_result(result: Mapping[str, Any], algorithm: str, optimum: float | None) -> None:
    """Prints the result of a search."""
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
        rows["best"] = "no evaluation succeeded"
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
