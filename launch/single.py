"""One search on a benchmark, from the flags to the files of the run: what `launch.lanas` and its like share."""

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table
import rich.text
from absl import flags

from common import executors, search, types
from common.executors import config as executor_config
from common.records import journal as journal_lib
from common.records import measurements, progress, run_dir
from launch import compilation, problem, proxy
from launch import flags as launch_flags

BUDGET = 100
_FAILURES_SHOWN = 3


def define(values: flags.FlagValues) -> None:
    """Defines the flags of every command that runs one search."""
    launch_flags.define_common(values, budget=BUDGET)
    launch_flags.define_executor(values)


def run(
    values: flags.FlagValues,
    *,
    command: str,
    algorithm: str,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
) -> None:
    """Searches, goes on with an earlier start of the same search, writes the files of the run and says what it found.

    Args:
      values: the flags.
      command: the name of the command.
      algorithm: the name of the algorithm.
      config: its settings, a dataclass.
      make_searcher: space -> searcher.

    Raises:
      ValueError: the flags do not suit each other, the folder is of another search or in use, or a file of
        earlier measurements is not sound.
      OSError: the folder cannot be written.
    """
    launch_flags.check_common(values)
    prepare(values)
    search_with(
        values,
        problem.evaluator(values),
        command=command,
        algorithm=algorithm,
        config=config,
        make_searcher=make_searcher,
    )


def prepare(values: flags.FlagValues) -> None:
    """Does what must be done before anything is on the device."""
    if values.executor == "process":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers need the memory
    compilation.enable_cache(values.compilation_cache_dir)


def search_with(
    values: flags.FlagValues,
    evaluator: types.Evaluator,
    *,
    command: str,
    algorithm: str,
    config: Any,
    make_searcher: Callable[[types.SearchSpace], types.Searcher],
    folder: pathlib.Path | None = None,
    told: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Searches with an evaluator that the caller made, and returns what result.json says; else as `run`.

    Args:
      values: the flags, checked.
      evaluator: what measures.
      command: the name of the command.
      algorithm: the name of the algorithm.
      config: its settings, a dataclass, and those of the measurements if the evaluator's name does not tell.
      make_searcher: space -> searcher.
      folder: of the run, where the caller made it.
      told: what config.json says beside, for reports; of JSON types.
    """
    searcher = make_searcher(evaluator.space)
    earlier = measurements.read(values.warm_start, evaluator.space) if values.warm_start else None
    num_earlier = 0 if earlier is None else len(earlier.archs)
    search.check(searcher, evaluator, budget=values.budget, num_earlier=num_earlier)
    header = {
        "benchmark": evaluator.name,
        "space": evaluator.space.name,
        "protocol": evaluator.protocol,
        "seed": values.seed,
        "algorithm": algorithm,
        "config": dataclasses.asdict(config),
    }
    with contextlib.ExitStack() as stack:
        settings = launch_flags.config_of(values, executor_config.Config())
        executor = stack.enter_context(executors.EXECUTORS[values.executor](evaluator, settings))
        if folder is None:
            folder = run_dir.create(values.workdir, command=algorithm, benchmark=proxy.name(values))
            print(f"workdir: {folder}", flush=True)
        journal = stack.enter_context(journal_lib.open_journal(folder / run_dir.JOURNAL, header))
        journal.agree_on_earlier(earlier)
        config = {"command": command, "flags": values.flag_values_dict(), **header, "optimum": evaluator.optimum}
        config |= run_dir.environment()
        run_dir.write_json(folder / run_dir.CONFIG, {**(told or {}), **config})
        history, seconds, last = _search(values, searcher, evaluator, executor, journal=journal, folder=folder)
        result = _write_results(values, evaluator, history, journal=journal, folder=folder, seconds=seconds, told=last)
    _print_result(result, searcher.name, evaluator.optimum)
    print(f"workdir: {folder}", flush=True)
    return result


def _search(values, searcher, evaluator, executor, *, journal, folder):
    """Returns (history, seconds of search over all starts, diagnostics of the last round)."""
    from common.training import event_files  # tensorboardX, which takes a second to import where PyTorch is there

    last, told = 0.0, {}
    for path in (folder / run_dir.EVENTS).glob("events.out.tfevents.*"):
        path.unlink()
    num_earlier = 0 if journal.earlier is None else len(journal.earlier.archs)
    with contextlib.ExitStack() as stack:
        # Written anew: a search that goes on passes through its earlier rounds again.
        metrics = stack.enter_context((folder / run_dir.METRICS).open("w"))
        events = stack.enter_context(event_files.EventFile(folder / run_dir.EVENTS))
        live = stack.enter_context(progress.Progress(searcher.name, total=values.budget, unit="queries"))

        def on_round(round_, history, seconds, diagnostics):
            nonlocal last, told
            last = max(last, seconds)
            told = {name: _plain(value) for name, value in diagnostics.items()}
            line = {**_round_metrics(round_, history, last, num_earlier), **told}
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()
            events.write(line["queries"], _scalars(line, told))
            best = line["best_fitness"]
            live.update(line["queries"], "nothing measured yet" if best is None else f"best {100 * best:.2f} %")

        history = search.run_search(
            jax.random.key(values.seed),
            searcher,
            evaluator,
            budget=values.budget,
            mode=values.mode,
            executor=executor,
            journal=journal,
            on_round=on_round,
        )
    return history, last, told


def _write_results(values, evaluator, history, *, journal, folder, seconds, told):
    """Writes what was found, and returns it."""
    run_dir.write_history(folder / run_dir.HISTORY, history)
    if values.export:
        measurements.write(values.export, history)
    key = jax.random.fold_in(jax.random.key(values.seed), search.TEST_ROUND)
    result = run_dir.result(history, evaluator, key=key, seed=values.seed, seconds=seconds)
    if journal.earlier is not None:
        result["earlier"] = len(journal.earlier.archs)
        result["queries"] -= result["earlier"]
    reasons = collections.Counter(one.reason for one in journal.measured.values() if one.reason)
    if reasons:
        result["failures"] = dict(reasons.most_common())
    if told:
        result["diagnostics"] = told
    run_dir.write_json(folder / run_dir.RESULT, result)
    return result


def _scalars(line, told):
    """What TensorBoard shows of a round: numbers, of which there is one."""
    searched = {f"search/{name}": line[name] for name in ("best_fitness", "infeasible", "seconds")}
    scalars = searched | {f"rounds/{name}": value for name, value in told.items()}
    return {name: value for name, value in scalars.items() if isinstance(value, int | float)}


def _plain(value):
    """A diagnostic as JSON has it: a number, or None where it is not finite; of an array the finite numbers."""
    value = np.asarray(value, float)
    if value.ndim:
        return value[np.isfinite(value)].tolist()
    return float(value) if np.isfinite(value) else None


def _round_metrics(round_, history, seconds, num_earlier):
    """One line of metrics.jsonl."""
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


def _print_result(result, algorithm, optimum):
    table = rich.table.Table(title=f"{algorithm} on {result['benchmark']}/{result['dataset']}", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    rows = {
        "search sees": f"{result['protocol']} fitness",
        "queries": f"{result['queries']} ({result['infeasible']} infeasible)",
        "seconds": f"{result['seconds']:.1f}, compiling included",
    }
    if "failures" in result:
        shown = list(result["failures"].items())[:_FAILURES_SHOWN]
        rows["infeasible"] = "\n".join(f"{count} x {reason}" for reason, count in shown)
    best = result["best"]
    if best is None:
        rows["best"] = "nothing could be measured"
    else:
        rows["best fitness"] = f"{100 * best['fitness']:.2f} %"
        if optimum is not None:
            rows["simple regret"] = f"{100 * (optimum - best['fitness']):.2f} points"
        rows["test fitness"] = "not published" if best["test"] is None else f"{100 * best['test']:.2f} %"
        rows["architecture"] = best["description"]
        rows["row"] = " ".join(map(str, best["arch"]))
    for name, text in rows.items():
        table.add_row(name, rich.text.Text(text))
    rich.console.Console().print(table)
