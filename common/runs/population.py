"""Search on shared weights that train on a pool of architectures, renewed between blocks of training (NAO-WS).

Images and language share it: they differ in how a block is trained and how a pool is scored. It writes pools.jsonl
(each pool and its scores, from which it resumes) and history.npz (the last pool, best first).
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import numpy as np

from common import config as configs
from common import history as history_lib
from common import search, types
from common.records import json_files, json_lines, progress, run_dir
from common.runs import weight_sharing
from common.supernets import population as pools

SCHEDULES = weight_sharing.SCHEDULES
_SETTINGS = ("algorithm", "config", "score", "protocol")  # in config.json; others are in the headers of other files


def check_folder(folder: pathlib.Path, command: str) -> None:
    """Raises a `ValueError` if a folder has the files of another command or of a search without a schedule."""
    run_dir.check_command(folder, command)
    if (folder / run_dir.JOURNAL).exists():
        raise ValueError(f"{folder} is the folder of a search without --schedule; choose another --workdir")


def schedule(name: str, **changes: int) -> weight_sharing.Schedule:
    """Returns a schedule by name, with some of its fields replaced.

    Raises:
      ValueError: there is no such schedule, or a field is out of range.
    """
    configs.one_of("schedule", name, SCHEDULES)
    return dataclasses.replace(SCHEDULES[name], **changes)


def renewing(config: Any, schedule: weight_sharing.Schedule) -> Any:
    """Returns the settings of an algorithm with which it proposes, and fits its model, once per renewal of the pool.

    Args:
      config: of LaNAS or NAO; those of algorithms that fit no model stay as they are.
    """
    if not hasattr(config, "num_initial"):
        return config
    new = schedule.num_new
    rounds = {"num_initial": schedule.num_initial, "num_new": new, "num_select": new, "count": new, "num_random": 0}
    return dataclasses.replace(config, **{name: value for name, value in rounds.items() if hasattr(config, name)})


def run(
    space: types.SearchSpace,
    searcher: types.Searcher,
    train: Callable[[chex.PRNGKey, Any, np.ndarray, int], Any],
    evaluator: Callable[[Any], types.Evaluator],
    state: Any,
    schedule: weight_sharing.Schedule,
    folder: pathlib.Path,
    record: Mapping[str, Any],
    *,
    seed: int,
    name: str,
) -> tuple[dict[str, Any], weight_sharing.Result]:
    """Runs the search, or resumes it, and writes config.json, pools.jsonl, history.npz and result.json.

    Args:
      searcher: proposes architectures; see `renewing`.
      train: trains the shared weights for a block, see `weight_sharing.run`.
      evaluator: state of the weights -> the evaluator on them.
      state: of the latest checkpoint; None if there is none.
      folder: of the run, which exists.
      record: the content of config.json, without versions and device.

    Returns:
      (the content of result.json, the last pool with the pool and scores of every block).

    Raises:
      ValueError: the space is too small, the folder is of another search, or no score is finite.
    """

    def score(key, state, archs):
        found = evaluator(state).evaluate(key, archs)
        return np.where(found.ok, found.fitness, np.nan)

    _check_settings(folder, record)
    run_dir.write_config(folder, record)
    start = time.perf_counter()
    with progress.Progress("search", total=schedule.num_blocks, unit="blocks") as live:

        def report(block):
            best, mean = 100 * np.nanmax(block.scores), 100 * np.nanmean(block.scores)
            live.update(block.block + 1, f"best of the pool {best:.2f} %, mean {mean:.2f} %")

        found = weight_sharing.run(
            jax.random.key(seed), space, searcher, train, score, state, schedule, folder, report=report
        )
    seconds = time.perf_counter() - start
    history = _history(found)
    run_dir.write_history(folder / run_dir.HISTORY, history)
    key = jax.random.fold_in(jax.random.key(seed), search.TEST_ROUND)
    result = run_dir.result(history, evaluator(found.state), key=key, seed=seed, seconds=seconds)
    result["queries"] = sum(len(block.archs) for block in found.rounds)
    result["schedule"] = name
    result["blocks"] = [
        {"block": block.block, "best": float(np.nanmax(block.scores)), "mean": float(np.nanmean(block.scores))}
        for block in found.rounds
    ]
    run_dir.write_json(folder / run_dir.RESULT, result)
    return result, found


def _check_settings(folder, record):
    """Raises a `ValueError` if the pools in a folder were proposed or scored with other settings."""
    if not (folder / pools.POOLS).exists():
        return
    before, now = json_files.read(folder / run_dir.CONFIG) or {}, json.loads(json.dumps(dict(record)))
    names = [name for name in _SETTINGS if name in before and name in now]
    if found := "; ".join(json_lines.differences(*({name: one[name] for name in names} for one in (before, now)))):
        raise ValueError(f"{folder} is of another search: {found}; start in a fresh folder or with the old settings")


def _history(found):
    """Returns the last pool as a history, best first."""
    ok = np.isfinite(found.scores)
    evaluation = types.Evaluation(fitness=np.where(ok, found.scores, 0.0), cost=np.zeros(len(ok), np.float32), ok=ok)
    return history_lib.append(history_lib.empty(*found.archs.shape), found.archs, evaluation)
