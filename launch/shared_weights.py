"""Flags of searches on shared weights, and what these commands print."""

from collections.abc import Callable
from typing import Any

import numpy as np
import rich.console
import rich.table
from absl import flags

from common import types
from common.evaluators import training_config
from common.runs import population, weight_sharing
from common.supernets import config as supernet_config
from launch import flags as launch_flags
from launch import single

SUPERNET = single.SUPERNET
_TRAIN, _SCORE = "supernet_", "score_"
_NOTE = "evaluator supernet"
TRAINING = supernet_config.Training()


def define(
    values: flags.FlagValues, *, training: supernet_config.Training = TRAINING, has_schedules: bool = False
) -> None:
    """Defines the flags, with the defaults of `training`; before `single.define_evaluator`."""

    def define(name, text, of=flags.DEFINE_string, default=None):
        of(name, default, f"{text} ({_NOTE})", flag_values=values)

    define(SUPERNET, "workdir of launch.train_supernet; by default weights are trained in the run")
    launch_flags.define(values, training, prefix=_TRAIN, note=_NOTE)
    launch_flags.define(values, supernet_config.Scoring(), prefix=_SCORE, note=_NOTE)
    define("rerank", "number of best architectures to train from scratch, see --proxy_*", flags.DEFINE_integer, 0)
    if has_schedules:
        text = f"train on a pool that the search renews: {', '.join(population.SCHEDULES)}"
        define("schedule", f"{text}; --num_initial, --num_new and --num_random are those of the pool too")
        define("num_blocks", "with --schedule: blocks of training", flags.DEFINE_integer)


def is_asked_for(values: flags.FlagValues) -> bool:
    """Returns whether fitness comes from shared weights.

    Raises:
      ValueError: flags are given that do not belong together.
    """
    single.check_evaluator(values)
    return values.evaluator == SUPERNET


def read(values: flags.FlagValues, *, space: str, training: supernet_config.Training = TRAINING) -> Any:
    """Returns the `common.runs.shared_weights.Settings` that the flags name.

    Args:
      values: the flags.
      space: the default of --space, unless trained weights are given.
      training: the defaults of --supernet_*.

    Raises:
      ValueError: a flag is out of range, or flags are given that do not belong together.
    """
    from common.runs import shared_weights  # flax, which takes a second to import

    given = [flag for flag in values if flag.startswith(_TRAIN)]
    if values.supernet and (given := launch_flags.given(values, given)):
        raise ValueError(
            f"--{given[0]} is for training shared weights, and --supernet names trained ones; leave it out"
        )
    if values.rerank < 0:
        raise ValueError(f"--rerank must be at least 0; got {values.rerank}")
    return shared_weights.Settings(
        weights=values.supernet,
        space=values.space or (None if values.supernet else space),
        dataset=values.dataset,
        data_dir=values.data_dir,
        protocol=values.protocol,
        training=launch_flags.read(values, training, prefix=_TRAIN),
        scoring=launch_flags.read(values, supernet_config.Scoring(), prefix=_SCORE),
        rerank=values.rerank,
        finalists=launch_flags.read(values, training_config.Config(), prefix=single.PREFIX),
    )


def schedule(values: flags.FlagValues) -> weight_sharing.Schedule | None:
    """Returns the schedule that the flags name, if any.

    Raises:
      ValueError: there is no such schedule, or the flags do not belong together.
    """
    if values.schedule is None:
        if values.num_blocks is not None:
            raise ValueError("--num_blocks needs --schedule")
        return None
    for flag, why in (
        (SUPERNET, "trains its own weights"),
        ("budget", "evaluates whole pools (--num_initial, --num_new, --num_random, --num_blocks)"),
        ("executor", "evaluates whole pools in this process"),
        ("warm_start", "begins with a random pool"),
        ("export", "has pools, in pools.jsonl, instead of a list of measurements"),
    ):
        if launch_flags.given(values, [flag]):
            raise ValueError(f"--schedule={values.schedule} {why}; leave --{flag} out")
    changes = {name: values[name].value for name in ("num_initial", "num_new", "num_random", "num_blocks")}
    given = launch_flags.given(values, changes)
    return population.schedule(values.schedule, **{name: changes[name] for name in given})


def run(
    values: flags.FlagValues,
    *,
    space: str,
    command: str,
    algorithm: str,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
    refine: Callable[..., types.Evaluator] | None = None,
    schedule: weight_sharing.Schedule | None = None,
) -> None:
    """Searches on shared weights and prints the result.

    Args:
      values: the flags.
      space: the default of --space.
      command: name of the command.
      algorithm: name of the algorithm.
      config: its settings.
      make_searcher: space -> searcher.
      refine: see `common.runs.supernet_search.search`.
      schedule: of the pool to train on, if the search renews one.
    """
    from common.runs import supernet_search  # flax, which takes a second to import

    settings, options = read(values, space=space), single.options(values)
    single.prepare(values)
    told = {"command": command, "algorithm": algorithm, "config": config, "flags": values.flag_values_dict()}
    if schedule is None:
        found = supernet_search.search(settings, options, make_searcher, refine=refine, **told)
    else:
        found = supernet_search.search_pool(
            settings, options, schedule, make_searcher, schedule_name=values.schedule, **told
        )
    single.print_result(found.result, algorithm, None)
    if found.finalists:
        _print_finalists(found.finalists)
    if found.best is not None:
        print(f"best architecture: {found.best}; train it with launch.train --genotype={found.best}", flush=True)
    print(f"workdir: {found.folder}", flush=True)


def _print_finalists(finalists):
    table = rich.table.Table(title="the best on shared weights, trained for a short time")
    for name in ("shared weights", "trained", "architecture"):
        table.add_column(name, overflow="fold")
    for one in sorted(finalists, key=lambda one: -np.nan_to_num(one.trained)):
        trained = f"{100 * one.trained:.2f} %" if np.isfinite(one.trained) else "infeasible"
        table.add_row(f"{100 * one.shared_weights:.2f} %", trained, one.description)
    rich.console.Console().print(table)
