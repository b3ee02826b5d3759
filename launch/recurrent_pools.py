"""NAO-WS for recurrent cells: a pool of cells trains shared weights, is scored and renewed, block after block.

Beside the files of `launch.search_recurrent`: pools.jsonl (every pool and its scores), history.npz (the last pool).
"""

import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np
from absl import flags

from common import history as history_lib
from common import search, spaces, types
from common.datasets import text
from common.language import config as configs
from common.language import evaluators
from common.language import training as language
from common.records import progress, run_dir
from common.runs import weight_sharing
from common.training import checkpoints
from launch import flags as launch_flags
from launch import train_language

SCHEDULES = weight_sharing.SCHEDULES
SUPERNET = "supernet"
_FIELDS = {
    "num_initial": "cells of the first pool",
    "num_blocks": "blocks of training, of num_epochs / num_blocks epochs each",
    "num_new": "cells that the algorithm proposes between two blocks",
    "num_random": "cells that are drawn at random between two blocks",
}


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    text = "train shared weights on a pool of cells that is renewed between blocks; by default they are trained first"
    flags.DEFINE_string("schedule", None, f"{text}; one of {', '.join(SCHEDULES)}", flag_values=values)
    for name, text in _FIELDS.items():
        flags.DEFINE_integer(name, None, f"of --schedule: {text}; by default its own", flag_values=values)


def schedule(values: flags.FlagValues, config: configs.Config) -> weight_sharing.Schedule | None:
    """Returns the schedule that the flags name, if any.

    Raises:
      ValueError: there is none of this name, or the flags do not suit each other.
    """
    given = {name: values[name].value for name in _FIELDS if values[name].value is not None}
    if values.schedule is None:
        if given:
            raise ValueError(f"--{next(iter(given))} is of --schedule; name one of {', '.join(SCHEDULES)}")
        return None
    launch_flags.one_of("schedule", values.schedule, SCHEDULES)
    made = dataclasses.replace(SCHEDULES[values.schedule], **given)
    if values.measure != SUPERNET:
        raise ValueError("--schedule is of shared weights; take --measure=supernet")
    for flag in ("budget", "warm_start", "export", "mode"):
        if not values[flag].using_default_value:
            raise ValueError(f"--schedule measures as many cells as its pools hold, here; leave --{flag} out")
    if config.num_epochs % made.num_blocks:
        raise ValueError(
            f"num_epochs = {config.num_epochs} is not a multiple of num_blocks = {made.num_blocks}; a block is "
            "num_epochs / num_blocks epochs"
        )
    return made


def run(
    values: flags.FlagValues,
    corpus: text.Corpus,
    config: configs.Config,
    saved: checkpoints.Checkpoints,
    folder: pathlib.Path,
    *,
    searcher: types.Searcher,
    schedule: weight_sharing.Schedule,
) -> dict[str, Any]:
    """Searches, or goes on with an earlier start; returns what result.json says.

    Args:
      values: the flags.
      corpus: what is learnt.
      config: how.
      saved: checkpoints of the shared weights.
      folder: of the run.
      searcher: proposes, and learns at every renewal.
      schedule: of the pool.
    """
    space = spaces.get("nao_rnn")
    length = config.num_epochs // schedule.num_blocks

    def train(key, state, archs, block):
        del state  # the latest checkpoint is
        return train_language.train(
            evaluators.supernet_learner(corpus, config, archs),
            corpus,
            folder,
            saved,
            key=key,
            save_seconds=values.checkpoint_seconds,
            metrics=f"{SUPERNET}.jsonl",
            is_best=False,
            name=f"shared weights, block {block + 1} of {schedule.num_blocks}",
            num_epochs=(block + 1) * length,
        )

    def score(key, state, archs):
        found = _evaluator(values, corpus, config, state).evaluate(key, archs)
        return np.where(found.ok, found.fitness, np.nan)

    start = time.perf_counter()
    with progress.Progress("search", total=schedule.num_blocks, unit="blocks") as live:
        found = weight_sharing.run(
            jax.random.key(values.seed),
            space,
            searcher,
            weight_sharing.SharedWeights(train, score),
            None,
            schedule,
            folder,
            report=lambda round_: live.update(round_.block + 1, f"best {100 * np.nanmax(round_.scores):.2f} %"),
        )
    seconds = time.perf_counter() - start
    evaluator = _evaluator(values, corpus, config, found.state or _last(corpus, config, saved))
    history = _history(found)
    run_dir.write_history(folder / run_dir.HISTORY, history)
    key = jax.random.fold_in(jax.random.key(values.seed), search.TEST_ROUND)
    result = run_dir.result(history, evaluator, key=key, seed=values.seed, seconds=seconds)
    result["schedule"] = values.schedule
    result["blocks"] = [
        {"block": one.block, "best": float(np.nanmax(one.scores)), "mean": float(np.nanmean(one.scores))}
        for one in found.rounds
    ]
    run_dir.write_json(folder / run_dir.RESULT, result)
    for line in result["blocks"]:
        print(f"block {line['block'] + 1}: best {100 * line['best']:.2f} %, mean {100 * line['mean']:.2f} %")
    return result


def _evaluator(values, corpus, config, state):
    learner = evaluators.supernet_learner(corpus, config)
    return evaluators.on_shared_weights(corpus, learner, language.evaluated(state), score=values.score)


def _last(corpus, config, saved):
    """The shared weights of a search that was over."""
    learner, keys = evaluators.supernet_learner(corpus, config), language.keys(jax.random.key(0))
    return saved.latest(jax.eval_shape(lambda keys: language.create(learner, keys), keys))


def _history(found):
    """The last pool, best first."""
    ok = np.isfinite(found.scores)
    evaluation = types.Evaluation(fitness=np.where(ok, found.scores, 0.0), cost=np.zeros(len(ok), np.float32), ok=ok)
    return history_lib.append(history_lib.empty(*found.archs.shape), found.archs, evaluation)
