"""Resumable search in a run folder: journal, metrics, result."""

import collections
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import numpy as np

from common import config as configs
from common import executors, one_round, paths, search, types
from common import objectives as objectives_lib
from common import warm_up as warm_up_lib
from common.executors import config as executor_config
from common.executors import measuring
from common.file_formats import replacing
from common.records import journal as journal_lib
from common.records import measurements, progress, run_dir
from common.runs import bugs, fronts, search_log


@configs.dataclass
class Options:
    """Settings of a search run."""

    budget: Annotated[int, "architectures to evaluate", configs.Range(at_least=1)] = 100
    seed: configs.Seed = 0
    workdir: Annotated[str | None, "folder of the run, to start or to resume; by default a fresh one under runs/"] = (
        None
    )
    executor: Annotated[Literal[tuple(executors.EXECUTORS)], "where evaluations run"] = "inline"
    workers: Annotated[executor_config.Config, "settings of the executor"] = dataclasses.field(
        default_factory=executor_config.Config
    )
    mode: Annotated[
        Literal[search.MODES],
        "synchronous: a round waits for all evaluations before it; asynchronous: no worker ever waits",
    ] = "synchronous"
    warm_start: Annotated[
        str | None, "file of earlier measurements to begin with (.jsonl or .csv), not counted in the budget"
    ] = None
    max_errors: Annotated[
        int,
        "the search stops, as the evaluator has a bug, if so many first evaluations all raise the same exception; 0: "
        "such architectures are infeasible, however many they are",
        configs.Range(at_least=0),
    ] = 3
    retry_failed: Annotated[
        bool, "evaluate again, on resuming, the architectures that raised an exception", configs.Needs("workdir")
    ] = False
    warm_up: warm_up_lib.By = None
    num_warm_up: warm_up_lib.Num = 10
    export: Annotated[str | None, "file to write all measurements to at the end (.jsonl or .csv)"] = None

    def __post_init__(self):
        if self.export:
            measurements.check_name(self.export)
        is_alone = self.executor == "inline" and self.mode == "synchronous"
        if is_alone and (num := self.workers.num_workers or 1) > 1:
            raise ValueError(
                f"num_workers = {num} has no effect with executor inline in a synchronous search; choose process or "
                "ray (--executor=process), or leave it out"
            )


def check(
    options: Options,
    searcher: types.Searcher,
    space: types.SearchSpace,
    *,
    folder: str | os.PathLike | None,
    evaluator: types.Evaluator | None = None,
) -> measurements.Measurements | None:
    """Returns earlier measurements, or raises a `ValueError` if a search could not run or not write. Changes nothing.

    Args:
      folder: of the run, which need not exist; None: a fresh one.
      evaluator: the source of fitness, if it may cover only a part of the space.
    """
    earlier, *_ = configs.gathered(
        lambda: measurements.read(options.warm_start, space) if options.warm_start else None,
        lambda: one_round.check_sizes(searcher, space, budget=options.budget, evaluator=evaluator),
        lambda: replacing.check_folder(options.export, folder) if options.export else None,
    )
    if earlier is not None:
        sizes = {"budget": options.budget, "num_earlier": len(earlier.archs)}
        one_round.check_sizes(searcher, space, **sizes, evaluator=evaluator)
    if options.export:
        known = {} if earlier is None else earlier.fitness_by_row()
        if folder is not None and (path := paths.path(folder) / run_dir.JOURNAL).exists():
            known |= journal_lib.read(path).fitness_by_row()
        measurements.check_replaceable(options.export, space, known, folder=folder)
    return earlier


def check_folder(folder: pathlib.Path, command: str, *, weights: pathlib.Path | None = None) -> None:
    """Raises a `ValueError` if a folder has the files of a run that is no search.

    Args:
      weights: folder of the shared weights that the search trains, if any, without which it cannot have begun.
    """
    if not (folder / run_dir.JOURNAL).exists():
        run_dir.check_command(folder, command)
        if (folder / run_dir.RESULT).exists():
            raise ValueError(f"{folder} has the results of a run of another kind; choose another --workdir")
    elif weights is not None and not weights.exists():
        raise ValueError(
            f"{folder} has a search, but no shared weights of its own; resume it with its settings, or choose another "
            "--workdir"
        )


def warmed_up(
    searcher: types.Searcher, space: types.SearchSpace, costs: warm_up_lib.Costs, options: Options
) -> types.Searcher:
    """Returns `warm_up.searcher` with the settings of a run."""
    how = {"by": options.warm_up, "num": options.num_warm_up, "seed": options.seed}
    return warm_up_lib.searcher(searcher, space, costs, **how)


def run(
    evaluator: types.Evaluator,
    searcher: types.Searcher,
    options: Options,
    *,
    command: str,
    algorithm: str,
    config: Any,
    folder: pathlib.Path | None = None,
    notes: Mapping[str, Any] | None = None,
    flags: Mapping[str, Any] | None = None,
    remark: str = "",
) -> dict[str, Any]:
    """Runs a search, or resumes it, writes the files of the run, and returns result.json and `workdir`, the folder.

    Args:
      command: name of the command, for config.json.
      algorithm: name of the algorithm. Part of the journal's header, as is `config`: only a search with the same
        header can resume.
      config: settings of the algorithm, and of the evaluator if its name does not imply them; a dataclass, or a
        mapping of JSON types.
      folder: of the run, if the caller made it; by default `options.workdir`.
      notes: further entries of config.json, of JSON types.
      flags: all settings by flag name, for config.json; by default those of `options`.
      remark: a line to print when the run starts.

    Raises:
      ValueError: the budget does not suit evaluator and searcher, the folder belongs to another search or is in
        use, or a file of earlier measurements is invalid.
      OSError: the folder cannot be written.
    """
    searcher = warmed_up(searcher, evaluator.space, evaluator.costs, options)
    objectives = objectives_lib.of_searcher(searcher)
    header = _header(evaluator, objectives, options, algorithm, config)
    flags = configs.to_json(options) if flags is None else dict(flags)
    about = {**(notes or {}), "command": command, "flags": flags, **header}
    about |= {"optimum": evaluator.optimum, "data": evaluator.data}
    earlier = check(options, searcher, evaluator.space, folder=folder or options.workdir, evaluator=evaluator)
    if earlier is not None:
        progress.report(measurements.describe(options.warm_start, earlier))
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(executors.EXECUTORS[options.executor](evaluator, options.workers))
        if folder is None:
            folder = run_dir.create(options.workdir, command=algorithm, benchmark=evaluator.name.partition("/")[0])
        check_folder(folder, command)
        journal = stack.enter_context(journal_lib.open_journal(folder / run_dir.JOURNAL, header))
        earlier = journal.agree_on_earlier(earlier)
        journal.check_budget(options.budget)  # before anything in the folder is replaced
        if options.retry_failed:
            print(f"evaluations that raised an exception and run again: {journal.retry_failed()}", flush=True)
        if remark:
            print(remark, flush=True)
        run_dir.write_config(folder, about)
        log = search_log.Log(
            folder, searcher.name, options.budget, num_earlier=0 if earlier is None else len(earlier.archs)
        )
        with log.files:
            history = search.run_search(
                jax.random.key(options.seed),
                searcher,
                evaluator,
                budget=options.budget,
                mode=options.mode,
                executor=bugs.watched(executor, journal, folder, max_errors=options.max_errors),
                journal=journal,
                on_round=log.add,
            )
        bugs.check(journal, folder, max_errors=options.max_errors)
        result = _result(evaluator, objectives, history, options, journal, log)
        run_dir.write_history(folder / run_dir.HISTORY, history)
        if options.export:
            measurements.write(options.export, history)
        run_dir.write_json(folder / run_dir.RESULT, result)
    return {**result, "workdir": str(folder)}


def _header(evaluator, objectives, options, algorithm, config):
    """Returns the settings that a resumed search must share with the one before it."""
    return {
        "benchmark": evaluator.name,
        "space": evaluator.space.name,
        "protocol": evaluator.protocol,
        "seed": options.seed,
        "algorithm": algorithm,
        "config": dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config),
        **({"limits": list(evaluator.limits)} if evaluator.limits else {}),
        **({"objectives": list(objectives.texts)} if len(objectives) > 1 else {}),
        **({"warm_up": f"{options.num_warm_up} by {options.warm_up}"} if options.warm_up else {}),
    }


def _result(evaluator, objectives, history, options, journal, log):
    """Returns the content of result.json."""
    key = jax.random.fold_in(jax.random.key(options.seed), search.TEST_ROUND)
    result = run_dir.result(history, evaluator, key=key, seed=options.seed, seconds=log.seconds)
    if len(objectives) > 1:
        key = jax.random.fold_in(jax.random.key(options.seed), search.TEST_ROUND)  # the same test fitness as above
        result |= fronts.of_search(history, evaluator, objectives, key=key)
    if journal.earlier is not None:
        result["earlier"] = len(journal.earlier.archs)
        result["queries"] -= len(journal.earlier.archs)
    reasons = collections.Counter(one.reason for one in journal.measured.values() if one.reason)
    if num_over := reasons.pop(measuring.OVER_LIMIT, 0):
        result["over_limit"] = num_over
    if reasons:
        result["failures"] = dict(reasons.most_common())
    if log.diagnostics:
        result["diagnostics"] = log.diagnostics
    return result


def ranked(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns (int32[R, L], float32[R]), the evaluated architectures of the run in a folder and their fitness.

    The best come first.
    """
    history, _ = run_dir.read_history(folder / run_dir.HISTORY)
    measured = np.flatnonzero(history.status == types.MEASURED)
    best = measured[np.argsort(-history.fitness[measured], kind="stable")]
    return history.archs[best], history.fitness[best]
