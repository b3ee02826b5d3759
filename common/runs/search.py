"""Resumable search in a run folder: journal, metrics, result."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import numpy as np

from common import config as configs
from common import executors, one_round, search, types
from common.executors import config as executor_config
from common.records import journal as journal_lib
from common.records import measurements, metrics_log, progress, run_dir

MAX_SEED = 2**32 - 1  # beyond, keys would repeat


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of a search run."""

    budget: Annotated[int, "architectures to evaluate", configs.Range(at_least=1)] = 100
    seed: Annotated[int, "seed of all random numbers", configs.Range(at_least=0, at_most=MAX_SEED)] = 0
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
    export: Annotated[str | None, "file to write all measurements to at the end (.jsonl or .csv)"] = None

    def __post_init__(self):
        configs.validate(self)
        if self.export:
            measurements.check_name(self.export)


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
) -> dict[str, Any]:
    """Runs a search, or resumes it, and writes the files of the run.

    Args:
      evaluator: the source of fitness.
      searcher: the search algorithm.
      options: settings of the run.
      command: name of the command, for config.json.
      algorithm: name of the algorithm. Part of the journal's header, as is `config`: only a search with the same
        header can resume.
      config: settings of the algorithm, and of the evaluator if its name does not imply them; a dataclass, or a
        mapping of JSON types.
      folder: of the run, if the caller made it; by default `options.workdir`.
      notes: further entries of config.json, of JSON types.
      flags: all settings by flag name, for config.json; by default those of `options`.

    Returns:
      The content of result.json, and `workdir`, the folder.

    Raises:
      ValueError: the budget does not suit evaluator and searcher, the folder belongs to another search or is in
        use, or a file of earlier measurements is invalid.
      OSError: the folder cannot be written.
    """
    earlier = measurements.read(options.warm_start, evaluator.space) if options.warm_start else None
    num_earlier = 0 if earlier is None else len(earlier.archs)
    if num_earlier:
        progress.tell(measurements.describe(options.warm_start, earlier))
    one_round.check(
        searcher, evaluator.space, budget=options.budget, num_earlier=num_earlier, evaluator=evaluator
    )  # before there is a folder
    header = {
        "benchmark": evaluator.name,
        "space": evaluator.space.name,
        "protocol": evaluator.protocol,
        "seed": options.seed,
        "algorithm": algorithm,
        "config": dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config),
        **({"limits": list(evaluator.limits)} if evaluator.limits else {}),
    }
    with executors.EXECUTORS[options.executor](evaluator, options.workers) as executor:
        if folder is None:
            folder = run_dir.create(options.workdir, command=algorithm, benchmark=evaluator.name.partition("/")[0])
            print(f"workdir: {folder}", flush=True)
        if not (folder / run_dir.JOURNAL).exists():
            run_dir.check_command(folder, command)
            if (folder / run_dir.RESULT).exists():
                raise ValueError(f"{folder} has the results of a run of another kind; choose another --workdir")
        with journal_lib.open_journal(folder / run_dir.JOURNAL, header) as journal:
            journal.agree_on_earlier(earlier)
            journal.check_budget(options.budget)  # before anything in the folder is replaced
            flags = configs.to_json(options) if flags is None else dict(flags)
            about = {"command": command, "flags": flags, **header, "optimum": evaluator.optimum}
            run_dir.write_json(folder / run_dir.CONFIG, {**(notes or {}), **about, **run_dir.environment()})
            history, seconds, diagnostics = _search(
                evaluator, searcher, options, executor=executor, journal=journal, folder=folder
            )
            result = _result(evaluator, history, options, journal=journal, seconds=seconds, diagnostics=diagnostics)
            run_dir.write_history(folder / run_dir.HISTORY, history)
            if options.export:
                measurements.write(options.export, history)
            run_dir.write_json(folder / run_dir.RESULT, result)
    return {**result, "workdir": str(folder)}


def _search(evaluator, searcher, options, *, executor, journal, folder):
    """Returns (history, seconds of search over all starts, diagnostics of the last round)."""
    seconds, reported = 0.0, {}
    num_earlier = 0 if journal.earlier is None else len(journal.earlier.archs)
    path = folder / run_dir.METRICS
    path.unlink(missing_ok=True)  # a search that resumes replays its earlier rounds
    log = metrics_log.MetricsLog(
        path, title=searcher.name, total=options.budget, unit="queries", key="queries", events=folder / run_dir.EVENTS
    )

    def on_round(round_, history, elapsed, diagnostics):
        nonlocal seconds, reported
        seconds = max(seconds, elapsed)
        reported = {name: _plain(value) for name, value in diagnostics.items()}
        line = {**_round_metrics(round_, history, seconds, num_earlier), **reported}
        best = line["best_fitness"]
        note = "no evaluation succeeded yet" if best is None else f"best {100 * best:.2f} %"
        log.add(line, scalars=_scalars(line, reported), note=note)

    with log:
        history = search.run_search(
            jax.random.key(options.seed),
            searcher,
            evaluator,
            budget=options.budget,
            mode=options.mode,
            executor=executor,
            journal=journal,
            on_round=on_round,
        )
    return history, seconds, reported


def _result(evaluator, history, options, *, journal, seconds, diagnostics):
    """Returns the content of result.json."""
    key = jax.random.fold_in(jax.random.key(options.seed), search.TEST_ROUND)
    result = run_dir.result(history, evaluator, key=key, seed=options.seed, seconds=seconds)
    if journal.earlier is not None:
        result["earlier"] = len(journal.earlier.archs)
        result["queries"] -= result["earlier"]
    reasons = collections.Counter(one.reason for one in journal.measured.values() if one.reason)
    if reasons:
        result["failures"] = dict(reasons.most_common())
    if diagnostics:
        result["diagnostics"] = diagnostics
    return result


def _round_metrics(round_, history, seconds, num_earlier):
    """Returns one line of metrics.jsonl."""
    status = np.asarray(history.status)
    num_done = np.sum((status == types.MEASURED) | (status == types.INFEASIBLE))
    measured = np.asarray(history.fitness)[status == types.MEASURED]
    return {
        "round": round_,
        "queries": int(num_done) - num_earlier,
        "infeasible": int(np.sum(status == types.INFEASIBLE)),
        "best_fitness": float(measured.max()) if measured.size else None,
        "seconds": round(seconds, 3),
    }


def _scalars(line, diagnostics):
    """Returns the numbers of a round that TensorBoard shows."""
    searched = {f"search/{name}": line[name] for name in ("best_fitness", "infeasible", "seconds")}
    scalars = searched | {f"rounds/{name}": value for name, value in diagnostics.items()}
    return {name: value for name, value in scalars.items() if isinstance(value, int | float)}


def _plain(value):
    """Returns a diagnostic in JSON types: a number, None where it is not finite; of an array the finite numbers."""
    value = np.asarray(value, float)
    if value.ndim:
        return value[np.isfinite(value)].tolist()
    return float(value) if np.isfinite(value) else None
