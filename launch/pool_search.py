"""A search on shared weights that are trained in between: NAO-WS, as published for its two versions.

Beside the files of `shared_weights`: pools.jsonl (every pool and its scores), result.json.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags

from common import search, types
from common.records import run_dir
from common.runs import weight_sharing
from common.supernets import scoring as scores
from common.supernets import training as supernet
from launch import finalists, shared_weights, single, supernet_run
from launch import flags as launch_flags

_POOL = ("num_initial", "num_new", "num_random")


def schedule(values: flags.FlagValues) -> weight_sharing.Schedule:
    """Returns the schedule that the flags name.

    Raises:
      ValueError: there is none of this name, or the flags do not suit each other.
    """
    launch_flags.one_of("schedule", values.schedule, weight_sharing.SCHEDULES)
    for flag, why in (
        (shared_weights.SUPERNET, "trains its own weights"),
        ("budget", "measures as many as its pools hold (--num_initial, --num_new, --num_random, --num_blocks)"),
    ):
        if not values[flag].using_default_value:
            raise ValueError(f"--schedule={values.schedule} {why}; leave --{flag} out")
    if values.executor != "inline" or values.warm_start or values.export:
        raise ValueError(
            "--schedule measures whole pools in this process; leave --executor, --warm_start, --export out"
        )
    given = {name: values[name].value for name in _POOL if not values[name].using_default_value}
    if values.num_blocks is not None:
        given["num_blocks"] = values.num_blocks
    return dataclasses.replace(weight_sharing.SCHEDULES[values.schedule], **given)


def run(
    values: flags.FlagValues,
    *,
    space: str,
    command: str,
    algorithm: str,
    schedule: weight_sharing.Schedule,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
) -> None:
    """Searches, goes on with an earlier start of the same search, and says what was found.

    Args:
      values: the flags.
      space: that is searched if --space says nothing.
      command: the name of the command.
      algorithm: the name of the algorithm.
      schedule: of the pool.
      config: settings of the searcher.
      make_searcher: space -> searcher, which learns at every renewal of the pool.

    Raises:
      ValueError: the flags do not suit each other, or the folder is of another search.
    """
    shared_weights.check(values)
    single.prepare(values)
    made = shared_weights.training_run(
        values,
        values.space or space,
        change=lambda training: _in_blocks(training, schedule),
        pool_size=schedule.num_initial,
    )
    config_score = shared_weights.score_config(values)
    scores.of(made, made.template().params, config_score, protocol=values.protocol)  # refuses what cannot be scored
    searcher = make_searcher(made.space)
    folder = shared_weights.workdir(values, algorithm)
    record = {"algorithm": algorithm, "config": dataclasses.asdict(config), "schedule": dataclasses.asdict(schedule)}
    record |= {"shared_weights": dict(made.about), "score": dataclasses.asdict(config_score)}
    start = time.perf_counter()
    with supernet_run.Training(made, folder / shared_weights.SUPERNET) as training:
        told = {"command": command, "flags": values.flag_values_dict(), **record, **run_dir.environment()}
        run_dir.write_json(folder / run_dir.CONFIG, told)
        found = weight_sharing.run(
            jax.random.key(values.seed),
            made.space,
            searcher,
            _shared(values, made, training, schedule, config_score),
            training.state,
            schedule,
            folder,
            report=functools.partial(_report, schedule),
        )
        params = training.state.params
    result = _result(values, made, config_score, params, found, seconds=time.perf_counter() - start)
    run_dir.write_json(folder / run_dir.RESULT, result)
    print(f"best of the last pool: {100 * found.scores[0]:.2f} % on shared weights", flush=True)
    finalists.run(values, made.about, folder, made.space, found.archs, found.scores)
    print(f"workdir: {folder}", flush=True)


def _in_blocks(training, schedule):
    supernet.check_blocks(training, schedule.num_blocks)
    return supernet.restarting(training, schedule.num_blocks) if schedule.restarts else training


def _shared(values, made, training, schedule, config):
    """What `weight_sharing` trains: its state is the training's, which follows from the step."""
    length = made.num_steps // schedule.num_blocks

    def train(key, state, archs, block):
        del key, state  # both follow from the run and its step
        return training.train(made.draw(archs), (block + 1) * length)

    def score(key, state, archs):
        found = scores.of(made, state.params, config, protocol=values.protocol).evaluate(key, archs)
        return np.where(found.ok, found.fitness, np.nan)

    return weight_sharing.SharedWeights(train, score)


def _report(schedule, round_):
    best, mean = 100 * np.nanmax(round_.scores), 100 * np.nanmean(round_.scores)
    done = f"block {round_.block + 1} of {schedule.num_blocks}"
    print(f"{done}: best of the pool {best:.2f} %, mean {mean:.2f} %", file=sys.stderr, flush=True)


def _result(values, made, config, params, found, *, seconds):
    """Returns what result.json says."""
    evaluator = scores.of(made, params, config, protocol=values.protocol)
    arch = found.archs[:1]
    test = evaluator.test(jax.random.fold_in(jax.random.key(values.seed), search.TEST_ROUND), arch)
    benchmark, _, dataset = evaluator.name.partition("/")
    return {
        "protocol": values.protocol,
        "benchmark": benchmark,
        "dataset": dataset,
        "seed": values.seed,
        "schedule": values.schedule,
        "queries": sum(len(one.archs) for one in found.rounds),
        "seconds": round(seconds, 3),
        "blocks": [
            {"block": one.block, "best": float(np.nanmax(one.scores)), "mean": float(np.nanmean(one.scores))}
            for one in found.rounds
        ],
        "best": {
            "arch": arch[0].tolist(),
            "description": made.space.describe(arch[0]),
            "fitness": float(found.scores[0]),
            "test": float(test.fitness[0]) if test.ok[0] else None,
        },
    }
