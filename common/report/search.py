"""One search: its folder, read also while it runs or after a kill, and its page."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import drawing, explanations, spaces, types
from common import history as history_lib
from common.genotypes import conversion
from common.records import json_files, run_dir
from common.report import (
    architectures,
    canvas,
    checklist,
    front,
    histories,
    latents,
    page,
    partition,
    pools,
    search_pictures,
    training,
    units,
)

_NUM_LISTED, _NUM_DRAWN = 10, 2
_FIELDS = {"flags", "benchmark", "space", "algorithm", "seed", "protocol"}  # of config.json
_CONFIG = {
    **{"flags": {"data_dir?": str, "space?": str, "evaluator?": str}, "benchmark": str, "space": str, "protocol": str},
    **{"seed": (int, type(None)), "algorithm": (str, type(None)), "optimum?": json_files.NUMBER},
    **{"config?": dict, "schedule?": dict, "objectives?": [str], "limits?": [str]},
}
_ARCH = {"test?": json_files.NUMBER, "description?": str}
_RESULT = {
    **{"seconds?": json_files.NUMBER, "failures?": {"*": int}, "best?": {"arch?": [int], **_ARCH}},
    "diagnostics?": {"*": (int, float, list, type(None))},
    **{"front?": [{"arch": [int], **_ARCH}], "reference?": {"*": json_files.NUMBER}},
    "ideal?": {"*": json_files.NUMBER},
    **{f"{name}?": json_files.NUMBER for name in ("hypervolume", "hypervolume_gap", "front_found")},
}
_PICTURES = {explanations.Partition: partition.pictures, explanations.LatentMap: latents.pictures}


class Run(NamedTuple):
    """One search; its history is in the order proposed, that of a search with a renewed pool the last pool, best first.

    NumPy arrays throughout.
    """

    name: str  # of its folder
    config: Mapping[str, Any]  # config.json
    result: Mapping[str, Any]  # result.json; empty while the search is unfinished
    history: history_lib.History
    num_earlier: int  # rows of the history that were measured before the search
    rounds: list[Mapping[str, Any]]  # the lines of metrics.jsonl
    budget: int  # measurements (or blocks of training) requested
    is_finished: bool
    unit: units.Unit = units.PERCENT  # in which fitness is displayed
    shared: training.Training | None = None  # the training of its shared weights
    blocks: tuple[np.ndarray, ...] = ()  # scores float32[P] of the pool after each block of training
    finalists: tuple[pools.Finalist, ...] = ()  # the best few, trained from scratch

    @property
    def num_done(self) -> int:
        """Number of measurements, or blocks of training, done."""
        new = self.history.status[self.num_earlier :]
        return len(self.blocks) or int(np.sum(np.isin(new, (types.MEASURED, types.INFEASIBLE))))

    @property
    def order(self) -> np.ndarray:
        """Rows of the measured architectures, best first."""
        is_measured = self.history.status == types.MEASURED
        order = np.argsort(-np.where(is_measured, self.history.fitness, -np.inf), kind="stable")
        return order[: np.sum(is_measured)]

    @property
    def queries(self) -> np.ndarray:
        """The number of the query of each row; 0 and less for earlier measurements."""
        return np.arange(1, len(self.history.status) + 1) - self.num_earlier


def read(folder: pathlib.Path, config: Mapping[str, Any]) -> Run:
    """Returns the search in a folder whose config.json is `config`; ValueError if it has none yet, or is damaged."""
    is_of_pools = pools.is_of_pools(config)
    config = pools.completed(config) if is_of_pools else config
    if not config.keys() >= _FIELDS:
        text = "reports are of searches, trainings and studies"
        raise ValueError(f"{folder} is of launch.{config.get('command')}; {text}")
    json_files.check(folder / run_dir.CONFIG, config, _CONFIG)
    blocks, num_earlier = (), 0
    if is_of_pools:
        json_files.check(folder / run_dir.CONFIG, config, {"schedule": {"num_blocks": int}})
        history, blocks = pools.read(folder)
        budget = config["schedule"]["num_blocks"]
    elif (folder / run_dir.JOURNAL).exists():
        json_files.check(folder / run_dir.CONFIG, config, {"flags": {"budget": int}})
        budget = config["flags"]["budget"]
        history, num_earlier = histories.read(folder, config, budget)
    elif (folder / run_dir.HISTORY).exists():
        history, _ = run_dir.read_history(folder / run_dir.HISTORY)
        budget = len(history.status)
    else:
        raise json_files.NothingYetError(f"{folder} has no {run_dir.JOURNAL}: its search has measured nothing yet")
    result = json_files.read(folder / run_dir.RESULT) or {}
    json_files.check(folder / run_dir.RESULT, result, _RESULT)
    shared = training.read_shared(folder)
    sizes = [one.get("vocabulary_size") for one in (config, {} if shared is None else shared.config)]
    size = next((size for size in sizes if isinstance(size, int)), None)
    run = Run(
        name=folder.resolve().name,
        config=config,
        result=result,
        history=history,
        num_earlier=num_earlier,
        rounds=[] if blocks else json_files.read_lines(folder / run_dir.METRICS),
        budget=budget,
        is_finished=True,
        unit=units.PERCENT if size is None else units.perplexity(size),
        shared=shared,
        blocks=blocks,
        finalists=pools.read_finalists(folder, history),
    )
    return run if run.result and run.num_done >= budget else run._replace(result={}, is_finished=False)


def pictures(run: Run, explained: Any = None) -> list[canvas.Picture]:
    """Returns all pictures that the files of a run suffice for, and those of a record of `common.explanations`."""
    made = []
    if len(run.order):
        made += [pools.pools_by_block(run.blocks, run.unit, run.config["protocol"])] if run.blocks else []
        made += front.pictures(run) + search_pictures.pictures(run)
        made += [] if explained is None else _PICTURES[type(explained)](explained)
        made.append(pools.agreement(run.finalists, run.unit))
    made += [] if run.shared is None else training.pictures(run.shared)
    return [one for one in made if one is not None]


def document(run: Run, made: Sequence[canvas.Picture], *, explained: Any = None, notes: Sequence[str] = ()) -> str:
    """Returns the page of a run with its pictures, an HTML document; `notes` receives what is missing, and why."""
    config, result = run.config, run.result
    title = f"{config['algorithm']} on {'/'.join(str(config['benchmark']).split('/')[:2])}"  # the rest are settings
    subtitle = f"run {run.name}, seed {config['seed']}, {config['protocol']} protocol"
    nodes = partition.nodes(explained) if isinstance(explained, explanations.Partition) else ""
    settings = page.table(("setting of the algorithm", "value"), list(_flat("", config.get("config", {}))))
    settings = page.folded("Settings of the algorithm", settings) + checklist.flags(config)
    test = (result.get("best") or {}).get("test")
    if test is not None:
        test = f"{run.unit.name} {run.unit.text(test)}, of the best by {config['protocol']} fitness alone"
    failures = page.table(("reason", "times"), list(result.get("failures", {}).items()))
    results = _notes(run) + page.facts(_facts(run)) + page.folded("Reasons of failures", failures)
    sections = [
        page.Section("Results", results + "".join(map(page.paragraph, notes))),
        page.Section("Front", front.section(run, made, architectures.known_space(config))),
        page.Section("Best architectures", _best(run)),
        page.Section("Finalists, trained from scratch", pools.table(run.finalists, run.unit, config["space"])),
        page.Section("Pictures", page.pictures(one for one in made if not front.is_of(one))),
        page.Section("Nodes of the partition", nodes),
        *checklist.sections(config, _stated(run), seconds=result.get("seconds"), test=test, settings=settings),
    ]
    return page.document(title, subtitle, sections, is_finished=run.is_finished)


def summary(run: Run) -> str:
    """Returns the progress of a search and its best measurement, in one line."""
    text = f"{run.num_done} of {run.budget} {'blocks' if run.blocks else 'queries'}"
    if len(run.order):
        best = run.unit.text(run.history.fitness[run.order[0]])
        text += f", best {run.config['protocol']} {run.unit.name} {best}"
    return text


def _facts(run):
    history, unit, config = run.history, run.unit, run.config
    yield "blocks of training" if run.blocks else "queries", f"{run.num_done} of {run.budget}"
    if run.blocks:
        yield "architectures scored", f"{sum(map(len, run.blocks)):,}, those kept in the pool once per block"
    yield "infeasible", int(np.sum(history.status == types.INFEASIBLE))
    if config.get("limits"):
        yield "limits", ", ".join(config["limits"])
    if run.num_earlier:
        yield "measured before", run.num_earlier
    if len(run.order):
        best, optimum = run.order[0], config.get("optimum")
        yield f"best {config['protocol']} {unit.name}", unit.text(history.fitness[best])
        if not run.blocks:
            yield "found at query", run.queries[best]
        if optimum is not None:
            yield "simple regret", f"{100 * (optimum - history.fitness[best]):.2f} points"
        test = (run.result.get("best") or {}).get("test")
        yield f"its test {unit.name}", "unknown" if test is None else unit.text(test)
    if run.result.get("seconds") is not None:
        yield "wall-clock time", f"{run.result['seconds']:.1f} s, compilation included"
    if (cost := float(np.sum(history.cost))) > 0:
        divisor, time_unit = units.time(cost)
        yield search_pictures.cost_name(run), f"{cost / divisor:.3g} {time_unit} for all evaluations"


def _notes(run):
    note = ""
    if not run.is_finished:
        note = page.unfinished("search", "this page shows what its journal holds so far.")
        note += "" if run.shared is None else training.unfinished(run.shared)
    text = "Fitness is 1 - loss / ln V, with V words in the vocabulary"
    if run.unit.is_lower_better:
        text = f"Perplexity is the exponential of the mean loss per word; lower is better. {text}"
        note += page.paragraph(f"{text}: 0 for a uniform guess, 1 for certainty.")
    elif run.config["space"] == "nao_rnn":
        note += page.paragraph(f"{text}. This folder does not record V, so perplexities are not shown.")
    return note


def _best(run):
    name, drawn, rows = run.config["space"], [], []
    space = architectures.known_space(run.config)
    for rank, at in enumerate(run.order[:_NUM_LISTED].tolist(), start=1):
        arch, query = run.history.archs[at], str(run.queries[at])
        value = run.unit.text(run.history.fitness[at])
        if rank <= _NUM_DRAWN and name in spaces.SPACES:
            text = f"No. {rank}: {'perplexity ' if run.unit.is_lower_better else ''}{value}"
            text += "" if run.blocks else f", query {query}"
            drawn.append(page.drawing(text, drawing.svg(conversion.from_arch(name, arch))))
        rows.append((rank, value, query, architectures.described(arch, space, run.result)))
    header = ("rank", f"{run.config['protocol']} {run.unit.name}", "query", "architecture")
    shown = (0, 1, 3) if run.blocks else (0, 1, 2, 3)  # the architectures of a pool have no query
    table = page.table([header[at] for at in shown], [[row[at] for at in shown] for row in rows])
    return page.grid(drawn) + page.folded(f"The {len(rows)} best", table)


def _stated(run):
    config = run.config
    baselines, seeds = "python -m launch.study compares algorithms", "python -m launch.study runs many"
    if search_pictures.measures_here(run):
        baselines, seeds = "add random search with the same budget", "run it with other values of --seed"
    seeds = f"only seed {config['seed']}, which says nothing about variance; {seeds}", False
    benchmark, baselines = f"{config['benchmark']}, space {config['space']}", (f"none in this run; {baselines}", False)
    budget = f"{run.budget} {'blocks of training' if run.blocks else 'architectures'}"
    budget += f", beside {run.num_earlier} measured earlier" if run.num_earlier else ""
    return checklist.of_searches(benchmark, config["protocol"], budget, seeds=seeds, baselines=baselines)


def _flat(prefix, settings):
    """Generates (name, value) of all settings, nested ones included."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
