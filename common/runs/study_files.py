"""Files of a study, which a study that resumes must agree with."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from common import history as history_lib
from common import search, types
from common.file_formats import files, json_values
from common.records import json_files, run_dir


@dataclasses.dataclass(frozen=True)
class Part:
    """The searches of one algorithm on one task."""

    evaluator: types.Evaluator
    searcher: types.Searcher
    folder: pathlib.Path  # of the task
    identity: Mapping[str, Any]  # what must be equal for a file of histories to be resumed

    @property
    def path(self) -> pathlib.Path:
        """The file of the histories."""
        return self.folder / f"history_{self.identity['algorithm']}.npz"


def stored(part: Part) -> tuple[history_lib.History | None, int, search.Seconds]:
    """Returns (histories of an earlier start, their number, the seconds they took).

    Raises:
      ValueError: the file is of another study, or damaged.
    """
    if not part.path.exists():
        return None, 0, search.Seconds(compile=0.0, run=0.0)
    histories, more = run_dir.read_history(part.path)
    with files.reporting(part.path, "is damaged: it does not say of which study it is"):
        before = {"limits": part.identity["limits"], "objectives": ["fitness"]}  # in files of older versions
        before |= json_values.parse(str(more["study"]))
        spent = search.Seconds(compile=float(more["compile"]), run=float(more["run"]))
    differing = [name for name, value in part.identity.items() if before.get(name) != value]
    if differing:
        texts = [f"{name} was {before.get(name)!r} and is now {part.identity[name]!r}" for name in differing]
        raise ValueError(f"{part.path} is of another study: {'; '.join(texts)}; choose another --workdir")
    return histories, len(histories.status), spent


def check_kept(folder: pathlib.Path, names: Sequence[str], most: int, num_seeds: int) -> list[str]:
    """Returns the algorithms that study.json of a folder reports.

    Args:
      names: algorithms of the study that runs.
      most: searches of an algorithm that the folder has.
      num_seeds: searches of each algorithm of the study that runs.

    Raises:
      ValueError: the study would leave out an algorithm, or seeds.
    """
    report = json_files.read(folder / run_dir.STUDY) or {"algorithms": {}}
    json_files.check(folder / run_dir.STUDY, report, {"algorithms": dict})
    before = list(report["algorithms"])
    if missing := [name for name in before if name not in names]:
        everything = ",".join([*before, *(name for name in names if name not in before)])
        problem = f"{folder} reports {', '.join(missing)} too, which --algorithms={','.join(names)} leaves out"
        raise ValueError(f"{problem}; resume it with --algorithms={everything}, or choose another --workdir")
    if most > num_seeds:
        problem = f"{folder} has {most} searches of an algorithm, more than --num_seeds={num_seeds}"
        raise ValueError(f"{problem}; resume it with --num_seeds={most}, or choose another --workdir")
    return before


def write_configs(config: Mapping[str, Any], workdir: pathlib.Path, folders: Mapping[str, pathlib.Path]) -> None:
    """Writes config.json; with `folders` by task, also one in each, as for a study of that task only.

    Raises:
      ValueError: the folder is of other tasks.
    """
    names = {task: folder.name for task, folder in folders.items()}
    path = workdir / run_dir.CONFIG
    before = names
    if (record := json_files.read(path)) is not None:
        json_files.check(path, record, {"tasks?": {"*": str}})
        before = record.get("tasks", {})
    if bool(before) != bool(names) or not before.keys() <= names.keys():
        raise ValueError(
            f"{workdir} is of {', '.join(before) or 'one task'}; give all of that to resume, or another --workdir"
        )
    run_dir.write_config(workdir, {**config, "tasks": names} if names else config)
    for task, folder in folders.items():
        name, _, dataset = task.partition("/")
        own = {**config["flags"], "benchmark": name, "dataset": dataset, "tasks": [], "workdir": str(folder)}
        run_dir.write_config(folder, {**config, "flags": own})
