"""Flags, evaluator and result table of the commands that run one search."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

from absl import flags

from common import config as configs
from common import objectives as objectives_lib
from common import one_round, plugins, spaces, types
from common.evaluators import problem, training_config, training_program, zero_cost_config
from common.report import console
from common.runs import population
from common.runs import search as runs
from common.supernets import config as supernet_config
from common.training import latency
from launch import algorithms, commands

SUPERNET, PREFIX, CUSTOM = "supernet", "proxy_", "package.module:name"
EVALUATORS = ("benchmark", "training", SUPERNET, "zero_cost")
_TRAIN, _SCORE, _LATENCY, _ZERO, _FRONT = "supernet_", "score_", "latency_", "zero_cost_", "front_"
_FLAGS = {  # prefix of flags -> the evaluators to which they apply
    **dict.fromkeys(("benchmark", "runs", "costs"), ("benchmark",)),
    "dataset": EVALUATORS,
    "protocol": EVALUATORS[:3],
    _ZERO: EVALUATORS[3:],
    **dict.fromkeys((PREFIX, _LATENCY), ("training", SUPERNET)),
    **dict.fromkeys((SUPERNET, _SCORE, "schedule", "num_blocks", "rerank", "few_shot_"), (SUPERNET,)),
}
TRAINING = supernet_config.Training()


def define(values: flags.FlagValues, *, training: supernet_config.Training = TRAINING) -> None:
    """Defines the flags of every command that runs one search; `training` are the defaults of --supernet_*."""
    commands.define(values, problem.Benchmark(data_dir=os.environ.get("NAS_DATA_DIR")))
    values["space"].help = (
        "search space, such as nao_small or lanas_oneshot; of a benchmark file it follows from the columns; of "
        f"nasbench101 its own, or one with other features ({', '.join(spaces.VARIANTS)}); or "
        f"{CUSTOM} of a SearchSpace, or of a function that returns one"
    )
    values["dataset"].help += f". With other evaluators images: {problem.IMAGES}; by default digits"
    text = (
        "source of fitness: benchmark (--benchmark), training (--space, --dataset, --proxy_*), supernet (--supernet*, "
        f"--score_*), zero_cost (--space, --dataset, --zero_cost_*), or {CUSTOM} of an Evaluator, or of "
        "a function (space) -> Evaluator"
    )
    flags.DEFINE_string("evaluator", "benchmark", text, flag_values=values)
    flags.DEFINE_list("objectives", ["fitness"], problem.OBJECTIVES, flag_values=values)
    commands.define(values, runs.Options())
    commands.define(values, training_config.Config(), prefix=PREFIX, note="evaluator training")
    commands.define(values, latency.Config(), prefix=_LATENCY, note="limits and objectives on latency")
    commands.define(values, zero_cost_config.Config(), prefix=_ZERO, note="evaluator zero_cost")
    commands.define_cache(values)
    note = "evaluator supernet"
    text = f"workdir of launch.train_supernet; by default weights are trained in the run ({note})"
    flags.DEFINE_string(SUPERNET, None, text, flag_values=values)
    commands.define(values, training, prefix=_TRAIN, note=note)
    commands.define(values, supernet_config.Scoring(), prefix=_SCORE, note=note)
    commands.define(values, training_config.Rerank(), note=note)


def search(
    values: flags.FlagValues,
    algorithm: types.Algorithm,
    *,
    command: str,
    space: str,
    refine: Callable[[Any], Callable[..., types.Evaluator] | None] = lambda config: None,
) -> None:
    """Runs or resumes a search and prints the result.

    Args:
      algorithm: the algorithm; flags given on the command line replace its settings.
      space: the default of --space with --evaluator=supernet.
      refine: settings of the algorithm -> `refine` of `common.runs.supernet_search.search`.

    Raises:
      ValueError: flags do not belong together, the folder belongs to another search or is in use, or a file of
        earlier measurements is invalid.
      OSError: the folder cannot be written.
    """
    check_evaluator(values)
    algorithms.check_objectives(algorithm, values.objectives)
    algorithms.report_maximized(values.objectives)
    if len(values.objectives) < 2 and (given := commands.given_with(values, _FRONT)):
        raise ValueError(f"--{given[0]} has no effect without several objectives, such as --objectives=fitness,-params")
    about = {"command": command, "algorithm": algorithm.name, "flags": values.flag_values_dict()}
    if values.evaluator == SUPERNET:
        _on_shared_weights(values, algorithm, refine, about, space=space)
    else:
        _on_evaluator(values, algorithm, about)


def _on_evaluator(values, algorithm, about):
    """Searches with fitness from a benchmark, from trainings, from scores or from an evaluator of the user."""
    options, _, task = configs.gathered(  # mistakes are found before data is loaded
        lambda: read_options(values), lambda: settings(values, algorithm), lambda: problem_of(values)
    )
    if isinstance(task, problem.Training | problem.ZeroCost):
        from common.datasets import images

        images.report(images.load(task.dataset, task.data_dir))
    task, remark = training_program.chosen(task, budget=options.budget, workdir=options.workdir)
    evaluator = problem.build(task)
    problem.report(task, evaluator)
    config, objectives = configs.gathered(
        lambda: settings(values, algorithm, evaluator.space), lambda: objectives_lib.of(values.objectives, evaluator)
    )
    searcher = objectives_lib.searcher(algorithm, evaluator.space, config, objectives)
    most = one_round.largest_budget(searcher, evaluator)
    if 0 < most < options.budget and not commands.given(values, ["budget"]):
        remark = f"{remark}\nbudget: {most}, all that {evaluator.name} has in whole rounds (--budget)".strip()
        options, about["flags"]["budget"] = dataclasses.replace(options, budget=most), most
    result = runs.run(evaluator, searcher, options, config=config, remark=remark, **about)
    console.show_result(result, algorithm.name, evaluator.optimum)
    print(f"workdir: {result['workdir']}", flush=True)


def _on_shared_weights(values, algorithm, refine, about, *, space):
    from common.runs import supernet_search  # flax, which takes a second to import

    if (trained := commands.typed(values, commands.given_with(values, PREFIX))) and values.rerank == 0:
        raise ValueError(
            f"--{', --'.join(trained)} has no effect without --rerank, the number of the best that are trained; give "
            "that too, or leave it out"
        )
    schedule, weights, options, _ = configs.gathered(
        lambda: algorithms.read_schedule(values),
        lambda: read_weights(values, space=space),
        lambda: read_options(values),
        lambda: None if "schedule" in values and values.schedule else settings(values, algorithm),
    )
    if schedule is not None:
        algorithm = algorithm._replace(config=population.renewing(algorithm.config, schedule))
    config = settings(values, algorithm, spaces.get(values.space or space))
    if schedule is not None:  # --num_random is that of the pool
        config = population.renewing(config, schedule)
    searcher = functools.partial(objectives_lib.searcher, algorithm, config=config)
    about["config"] = config
    if schedule is None:
        more = {"refine": refine(config), "objectives": values.objectives}
        found = supernet_search.search(weights, options, searcher, **more, **about)
    else:
        more = {"schedule_name": values.schedule}
        found = supernet_search.search_pool(weights, options, schedule, searcher, **more, **about)
    console.show_result(found.result, algorithm.name, None)
    if found.finalists:
        console.show_finalists(found.finalists)
    if found.best is not None:
        print(f"best architecture: {found.best}; train it with launch.train --genotype={found.best}", flush=True)
    print(f"workdir: {found.folder}", flush=True)


def settings(values: flags.FlagValues, algorithm: types.Algorithm, space: types.SearchSpace | None = None) -> Any:
    """Returns the settings of an algorithm: its own, those for the space, and above all those given as flags."""
    if algorithm.config is None:
        return {}
    config = algorithm.config if space is None else algorithm.for_space(space, algorithm.config)
    return commands.read(values, config)


def problem_of(values: flags.FlagValues) -> problem.Problem:
    """Returns the problem that the flags name.

    Raises:
      ValueError: a flag is out of range, or flags do not belong together.
    """
    if plugins.is_path(values.evaluator):
        return commands.read(values, problem.Custom())
    if values.evaluator == "benchmark":
        return commands.read(values, problem.Benchmark(data_dir=values.data_dir))
    if not values.space:
        raise ValueError(f"--evaluator={values.evaluator} needs --space, such as --space=nao_small")
    if values.evaluator == "zero_cost":
        scored = commands.read(values, problem.ZeroCost(data_dir=values.data_dir))
        return dataclasses.replace(scored, zero_cost=commands.read(values, zero_cost_config.Config(), prefix=_ZERO))
    trained = commands.read(values, problem.Training(data_dir=values.data_dir))
    proxy = commands.read(values, training_config.Config(), prefix=PREFIX)
    return dataclasses.replace(trained, proxy=proxy, **_measured(values))


def _measured(values):
    """Returns the fields `measured` and `latency` of a problem or of shared weights."""
    if "objectives" not in values:
        return {}
    if measured := problem.to_measure(values.limit, values.objectives):
        return {"measured": measured, "latency": commands.read(values, latency.Config(), prefix=_LATENCY)}
    if given := commands.given_with(values, _LATENCY):
        raise ValueError(f"--{given[0]} needs a limit or an objective on latency, as in --objectives=fitness,-latency")
    return {}


def check_evaluator(values: flags.FlagValues) -> None:
    """Raises a `ValueError` unless --evaluator is known and all flags given apply to it."""
    kind = CUSTOM if plugins.is_path(values.evaluator) else values.evaluator
    configs.one_of("evaluator", kind, (*EVALUATORS, CUSTOM))
    others = [prefix for prefix, kinds in _FLAGS.items() if kind not in kinds]
    if given := commands.given_with(values, *others):
        are, them = ("is", "it") if len(given) == 1 else ("are", "them")
        fit = set.intersection(*(set(_FLAGS[one]) for one in others if commands.given_with(values, one)))
        more = f", or give --evaluator={' or '.join(sorted(fit))}" if fit else ""
        raise ValueError(f"--{', --'.join(given)} {are} not for --evaluator={values.evaluator}; leave {them} out{more}")


def read_options(values: flags.FlagValues) -> runs.Options:
    """Returns the settings of the run that the flags name."""
    return commands.read(values, runs.Options(budget=values["budget"].default))


def read_weights(values: flags.FlagValues, *, space: str, training: supernet_config.Training = TRAINING) -> Any:
    """Returns the `common.runs.shared_weights.Settings` that the flags name.

    Args:
      space: the default of --space, unless trained weights are given.
      training: the defaults of --supernet_*.

    Raises:
      ValueError: a flag is out of range, or flags are given that do not belong together.
    """
    from common.runs import shared_weights  # flax, which takes a second to import

    given = commands.given_with(values, _TRAIN) if values.supernet else []
    configs.require(
        (
            not given,
            f"--{', --'.join(given)}: for training shared weights, and --supernet names trained ones; leave it out",
        ),
        (
            not (others := commands.given(values, ["proxy_fitness_epoch", "proxy_program"])),
            f"--{', --'.join(others)} is for --evaluator=training; leave it out",
        ),
    )
    return shared_weights.Settings(
        weights=values.supernet,
        space=values.space or (None if values.supernet else space),
        dataset=values.dataset,
        data_dir=values.data_dir,
        protocol=values.protocol,
        limit=tuple(values.limit),
        **_measured(values),
        training=commands.read(values, training, prefix=_TRAIN),
        scoring=commands.read(values, supernet_config.Scoring(), prefix=_SCORE),
        **dataclasses.asdict(commands.read(values, training_config.Rerank())),
        finalists=commands.read(values, training_config.Config(), prefix=PREFIX),
    )
