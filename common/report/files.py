"""The folder that a command left, read: also one that it is writing, or was when it was killed."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common.records import run_dir
from common.report import image_search_files, json_files, ranking_page, run_files, training_files
from common.statistics import study as summary


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


Found = (
    run_files.Run | training_files.Training | image_search_files.ImageSearch | ranking_page.Ranking | Study | Studies
)


def read(folder: str | pathlib.Path) -> Found:
    """Returns what the folder of a search, a training, a study or a study of several tasks holds.

    Or the file of `benchmarks.supernet_ranking`.

    Raises:
      ValueError: it is not there, is empty, or of something else, or a file in it is damaged.
    """
    folder = pathlib.Path(folder)
    if folder.is_file():
        return ranking_page.read(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give --workdir, the folder of a search, a training or a study")
    config = json_files.read(folder / run_dir.CONFIG)
    if image_search_files.is_one(folder, config):
        return image_search_files.read(folder)
    if config is None:
        shared = training_files.read_shared(folder)
        if shared is not None:  # all that a search has so far
            return shared._replace(is_finished=False)
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{folder} has no {run_dir.CONFIG}, so it is not the folder of a search, a training or a study; it holds "
            f"{found}"
        )
    command = config.get("command")
    if command == "study" and config.get("tasks"):
        return _studies(folder, config["tasks"])
    if command == "study":
        return _study(folder, config)
    if command in training_files.KINDS:
        return training_files.read(folder, config)
    return run_files.read(folder, config)


def read_together(folders: Sequence[str | pathlib.Path]) -> Studies:
    """Returns the studies that several folders hold.

    Raises:
      ValueError: as `read`; or one of them is not of a study.
    """
    found = [read(folder) for folder in folders]
    for folder, one in zip(folders, found):
        if not isinstance(one, Study | Studies):
            raise ValueError(f"{folder} is not of a study; several folders must all be of studies")
    several = [one if isinstance(one, Studies) else Studies("", (one,), (), one.is_finished) for one in found]
    return Studies(
        ", ".join(one.name for one in found),
        tuple(study for one in several for study in one.studies),
        tuple(task for one in several for task in one.missing),
        all(one.is_finished for one in several),
    )


def _study(folder, config):
    report = json_files.read(folder / run_dir.STUDY)
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
