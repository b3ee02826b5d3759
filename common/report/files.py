"""The folder of a run or a study, read: also one that a search is writing, or was when it was killed."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import history as history_lib
from common import journal as journals
from common import run_dir, types
from common.statistics import summary


class Run(NamedTuple):
    """One search.

    Attributes:
      name: of its folder.
      config: config.json.
      result: result.json; empty while the search has not ended.
      history: what was measured so far, in the order proposed; NumPy arrays.
      num_earlier: rows of the history that were measured before the search.
      rounds: the lines of metrics.jsonl.
      budget: measurements asked for.
      is_finished: whether they are all done.
    """

    name: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    history: history_lib.History
    num_earlier: int
    rounds: list[Mapping[str, Any]]
    budget: int
    is_finished: bool


class Study(NamedTuple):
    """Many searches.

    Attributes:
      name: of its folder.
      config: config.json.
      report: study.json.
      curves: algorithm -> curves of its searches, those of which there is a file.
      is_finished: whether all algorithms asked for are done.
    """

    name: str
    config: Mapping[str, Any]
    report: Mapping[str, Any]
    curves: Mapping[str, summary.Curves]
    is_finished: bool


class Studies(NamedTuple):
    """Studies of several tasks.

    Attributes:
      name: of the folder, or folders.
      studies: those of which at least one algorithm is done.
      missing: tasks of which none is.
      is_finished: whether all are done.
    """

    name: str
    studies: tuple[Study, ...]
    missing: tuple[str, ...]
    is_finished: bool


def read(folder: str | pathlib.Path) -> Run | Study | Studies:
    """Returns what the folder of a run, a study or a study of several tasks holds.

    Raises:
      ValueError: it is not there, is empty, or of something else, or a file in it is damaged.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give --workdir, the folder of a search or a study")
    config = _json(folder / run_dir.CONFIG)
    if config is None:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{folder} has no {run_dir.CONFIG}, so it is not the folder of a search or a study; it holds {found}"
        )
    command = config.get("command")
    if command == "study" and config.get("tasks"):
        return _studies(folder, config["tasks"])
    if command == "study":
        return _study(folder, config)
    if not {"flags", "benchmark", "space", "algorithm", "seed", "protocol"} <= config.keys():
        raise ValueError(f"{folder} is of launch.{command}; reports are of searches and studies")
    return _run(folder, config)


def read_together(folders: Sequence[str | pathlib.Path]) -> Studies:
    """Returns the studies that several folders hold.

    Raises:
      ValueError: as `read`; or one of them is not of a study.
    """
    found = [read(folder) for folder in folders]
    for folder, one in zip(folders, found):
        if isinstance(one, Run):
            raise ValueError(f"{folder} is of one search; several folders must all be of studies")
    several = [one if isinstance(one, Studies) else Studies("", (one,), (), one.is_finished) for one in found]
    return Studies(
        ", ".join(one.name for one in found),
        tuple(study for one in several for study in one.studies),
        tuple(task for one in several for task in one.missing),
        all(one.is_finished for one in several),
    )


def _run(folder, config):
    if (folder / run_dir.JOURNAL).exists():
        journal = journals.read(folder / run_dir.JOURNAL)
        budget = int(config["flags"]["budget"])
        history, num_earlier = _history(journal, budget)
    elif (folder / run_dir.HISTORY).exists():
        history, _ = run_dir.read_history(folder / run_dir.HISTORY)
        budget, num_earlier = len(history.status), 0
    else:
        raise ValueError(f"{folder} has no {run_dir.JOURNAL}: its search has measured nothing yet")
    is_done = np.isin(history.status, (types.MEASURED, types.INFEASIBLE))
    result = _json(folder / run_dir.RESULT) or {}
    is_finished = bool(result) and int(np.sum(is_done)) >= budget + num_earlier
    return Run(
        folder.resolve().name, config, result if is_finished else {}, history, num_earlier, _rounds(folder), budget,
        is_finished,
    )  # fmt: skip


def _history(journal, budget):
    """Returns (the history that a journal tells, how many rows of it are earlier)."""
    num_earlier = 0 if journal.earlier is None else len(journal.earlier.archs)
    parts = list(journal.proposed.values())
    if num_earlier:
        parts.insert(0, journal.earlier.archs)
    if not parts:
        raise ValueError("the search has proposed nothing yet; wait for its first round")
    archs = np.concatenate(parts)[: num_earlier + budget].astype(np.int32)
    fitness, cost = np.full(len(archs), np.nan, np.float32), np.zeros(len(archs), np.float32)
    status = np.full(len(archs), types.PENDING, np.int32)
    if num_earlier:
        fitness[:num_earlier], cost[:num_earlier] = journal.earlier.fitness, np.nan_to_num(journal.earlier.cost)
        status[:num_earlier] = np.where(np.isfinite(journal.earlier.fitness), types.MEASURED, types.INFEASIBLE)
    for at, one in journal.measured.items():
        if at < len(archs):
            fitness[at], cost[at] = one.fitness, np.nan_to_num(one.cost)
            status[at] = types.MEASURED if one.ok else types.INFEASIBLE
    return history_lib.History(archs=archs, fitness=fitness, cost=cost, status=status, size=len(archs)), num_earlier


def _study(folder, config):
    report = _json(folder / run_dir.STUDY)
    if not report or not report.get("algorithms"):
        raise ValueError(f"{folder} has no whole {run_dir.STUDY}: none of its algorithms is done yet")
    curves = {}
    for name in report["algorithms"]:
        path = folder / run_dir.CURVES.format(name)
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                curves[name] = summary.Curves(**{field: arrays[field] for field in summary.Curves._fields})
    is_finished = set(config["flags"].get("algorithms", ())) <= report["algorithms"].keys()
    return Study(folder.resolve().name, config, report, curves, is_finished)


def _studies(folder, tasks):
    """Of the folders of `tasks`, by name; some may not have begun."""
    begun = {task: folder / inner for task, inner in tasks.items() if (folder / inner / run_dir.STUDY).exists()}
    if not begun:
        raise ValueError(f"{folder} has no task of which an algorithm is done yet")
    studies = tuple(read(inner) for inner in begun.values())
    missing = tuple(task for task in tasks if task not in begun)
    is_finished = not missing and all(study.is_finished for study in studies)
    return Studies(folder.resolve().name, studies, missing, is_finished)


def _rounds(folder):
    """The whole lines of metrics.jsonl; a kill may have torn the last one."""
    path, lines = folder / run_dir.METRICS, []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def _json(path):
    """The object in a JSON file; None where there is no file."""
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object")
    return value
