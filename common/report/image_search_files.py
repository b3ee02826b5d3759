"""The folder of `launch.search_images`, read: several searches on one set of shared weights, and trainings alone."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common.records import run_dir
from common.report import json_files, run_files, training_files

COMMAND = "search_images"
RANDOM = "random architectures"  # those that no search found
CHOSEN = "random, chosen alike"  # among random ones, as of the best of a search one is chosen
_TRAINED = "trained.json"


class Network(NamedTuple):
    """An architecture that was trained alone.

    Attributes:
      found_by: a search, or `RANDOM`, or `CHOSEN`, or another text.
      arch: int32[L].
      shared: its fitness on shared weights; NaN where it is not known.
      accuracies: float[T], after each training alone, NaN where that failed.
    """

    found_by: str
    arch: np.ndarray
    shared: float
    accuracies: np.ndarray

    @property
    def accuracy(self) -> float:
        """The mean of its trainings; NaN where one failed, or there is none."""
        return float(np.mean(self.accuracies)) if len(self.accuracies) else math.nan


class ImageSearch(NamedTuple):
    """Searches on one set of shared weights.

    Attributes:
      name: of the folder.
      config: config.json of the first search; empty where none has begun.
      result: result.json; empty while not all is done.
      networks: what was found and what is beside it, with test accuracies, in the order of the result.
      candidates: the best of each search, and random ones, among which one was chosen, with validation accuracies;
        empty in folders of versions that did not choose so.
      runs: name of an algorithm -> its search, in the order asked for.
      waiting: name of an algorithm -> how far its search is, which cannot be shown yet.
      num_trained: trainings alone that are done.
      shared: the training of the shared weights, where they were trained here.
      is_finished: whether all is done.
    """

    name: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    networks: tuple[Network, ...]
    candidates: tuple[Network, ...]
    runs: Mapping[str, run_files.Run]
    waiting: Mapping[str, str]
    num_trained: int
    shared: training_files.Training | None
    is_finished: bool

    @property
    def about(self) -> Mapping[str, Any]:
        """What the shared weights are of; empty where it is not known."""
        if self.shared is not None:
            return self.shared.config
        return (self.config.get("config") or {}).get("shared_weights") or {}


def is_one(folder: pathlib.Path, config: Mapping[str, Any] | None) -> bool:
    """Returns whether a folder, whose config.json is `config`, is of such searches, and not of one of them."""
    if config is not None:
        return config.get("command") == COMMAND and "algorithm" not in config
    told = json_files.read(folder / run_dir.RESULT) or {}
    return "networks" in told or (folder / _TRAINED).exists() or bool(_configs(folder))


def read(folder: pathlib.Path) -> ImageSearch:
    """Returns what a folder holds, for which `is_one` is true.

    Raises:
      ValueError: a file in it is damaged.
    """
    told, configs = json_files.read(folder / run_dir.RESULT) or {}, _configs(folder)
    runs, waiting = {}, {}
    first = next(iter(configs.values()), {})
    asked = first.get("flags", {}).get("algorithms") or list(configs)
    for name in dict.fromkeys([*asked, *configs]):
        if name not in configs:
            waiting[name] = "has not begun"
            continue
        try:
            runs[name] = run_files.read(folder / name, configs[name])
        except json_files.NothingYetError:
            waiting[name] = "has measured nothing yet"
    is_finished = "networks" in told and not waiting and all(run.is_finished for run in runs.values())
    is_finished &= not runs or told.get("budget") in (None, first["flags"].get("budget"))  # else of an earlier start
    trainings = (json_files.read(folder / _TRAINED) or {}).get("trainings", ())
    return ImageSearch(
        name=folder.resolve().name,
        config=first,
        result=told if is_finished else {},
        networks=networks(told, "networks", "test", path=folder / run_dir.RESULT) if is_finished else (),
        candidates=networks(told, "choice", "validation", path=folder / run_dir.RESULT) if is_finished else (),
        runs=runs,
        waiting=waiting,
        num_trained=len(trainings),
        shared=training_files.read_shared(folder),
        is_finished=is_finished,
    )


def _configs(folder):
    """Name of a search -> its config.json, of all the searches in a folder."""
    found = {}
    for path in sorted(folder.glob(f"*/{run_dir.CONFIG}")):
        config = json_files.read(path)
        if config.get("command") == COMMAND and "algorithm" in config:
            found[path.parent.name] = config
    return found


def networks(told: Mapping[str, Any], name: str, part: str, *, path: pathlib.Path) -> tuple[Network, ...]:
    """Returns those that a result.json lists under a name, with accuracies on a part; more that it says is left out.

    Args:
      told: what it holds.
      name: "networks" or "choice".
      part: of the images.
      path: of the file, for the message.

    Raises:
      ValueError: one of them cannot be read.
    """
    made, rows = [], told.get(name)
    for at, row in enumerate(rows if isinstance(rows, list) else ()):
        try:
            alone, shared = row.get(part), row.get("shared_weights")
            each = alone if isinstance(alone, list) else [] if alone is None else [alone]
            made.append(
                Network(
                    found_by=str(row["found_by"]),
                    arch=np.array([int(choice) for choice in row["arch"]], np.int32),
                    shared=math.nan if shared is None else float(shared),
                    accuracies=np.array([math.nan if one is None else float(one) for one in each], np.float64),
                )
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged: number {at} of {name} cannot be read ({error!r}); restore it"
            ) from error
    return tuple(made)
