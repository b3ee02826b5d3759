"""Searches on shared weights: the pool after each block of training, and finalists that are trained from scratch."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import ticker

from common import history as history_lib
from common import spaces, types
from common.records import journal as journals
from common.records import json_files, json_lines
from common.report import architectures, canvas, page, ranking, units
from common.supernets import population

_FINALISTS, _FINALISTS_JOURNAL = "finalists.json", "finalists.jsonl"  # of images; of recurrent cells
_LEAST = 5  # finalists for a picture


class Finalist(NamedTuple):
    """One of the best architectures of a search, trained from scratch."""

    arch: np.ndarray  # int32[L]
    shared: float  # its fitness in the search; NaN where unknown
    alone: float  # its fitness after training from scratch; NaN where that failed
    epochs: int | None = None  # after which its training stopped, as others were better; None: trained in full


def is_of_pools(config: Mapping[str, Any]) -> bool:
    """Returns whether a config.json is of a search whose pool is renewed between blocks of training."""
    return isinstance(config.get("schedule"), dict) and "flags" in config


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config.json of a search with a pool, with the fields that other searches have."""
    shared = config.get("shared_weights")
    if shared is None:  # recurrent cells
        benchmark = f"recurrent_supernet/{config.get('corpus')}"
        added = {"benchmark": benchmark, "space": "nao_rnn", "seed": config.get("seed")}
    else:
        dataset = pathlib.PurePath(str(shared["dataset"])).stem
        added = {"benchmark": f"supernet/{dataset}", "space": shared["space"], "seed": shared["seed"]}
    protocol = config["flags"].get("protocol") or "validation"
    return {"algorithm": None, "protocol": protocol, "optimum": None, **added, **config}


def read(folder: pathlib.Path) -> tuple[history_lib.History, tuple[np.ndarray, ...]]:
    """Returns (the last scored pool, best first; scores float32[P] of each block); ValueError if none or damaged."""
    path = folder / population.POOLS
    record = json_lines.read(path, population.Record) if path.exists() else population.Record()
    if not record.scores:
        text = f"{folder} has no scored pool in {path.name}: its search has measured nothing yet"
        raise json_files.NothingYetError(text)
    scores = record.scores[-1]
    is_measured = np.isfinite(scores)
    order = np.argsort(np.where(is_measured, -scores, np.inf), kind="stable")
    history = history_lib.History(
        archs=record.pools[len(record.scores) - 1][order].astype(np.int32),
        fitness=scores[order],
        cost=np.zeros(len(scores), np.float32),
        status=np.where(is_measured, types.MEASURED, types.INFEASIBLE)[order].astype(np.int32),
        size=len(scores),
        others=np.zeros((len(scores), 0), np.float32),
    )
    return history, tuple(record.scores)


def read_finalists(folder: pathlib.Path, history: history_lib.History) -> tuple[Finalist, ...]:
    """Returns the finalists of a search, in the order of the search; ValueError if their file is damaged."""
    path = folder / _FINALISTS
    record = json_files.read(path)
    if record is not None:
        try:
            longest = {}
            for one in record["finalists"]:
                values = map(_number, (one.get("shared_weights"), one.get("trained")))
                found = Finalist(np.array(one["arch"], np.int32), *values, one.get("epochs"))
                arch = tuple(one["arch"])
                longest[arch] = max(longest.get(arch, found), found, key=lambda one: one.epochs or math.inf)
            return tuple(longest.values())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error!r}); restore it") from error
    if not (folder / _FINALISTS_JOURNAL).exists():
        return ()
    journal = journals.read(folder / _FINALISTS_JOURNAL)
    archs = [arch for rows in journal.proposed.values() for arch in rows]
    known = {tuple(arch): value for arch, value in zip(history.archs.tolist(), history.fitness.tolist())}
    return tuple(
        Finalist(archs[at], known.get(tuple(archs[at].tolist()), math.nan), one.fitness if one.ok else math.nan)
        for at, one in sorted(journal.measured.items())
        if at < len(archs)
    )


@canvas.styled
def pools_by_block(blocks: Sequence[np.ndarray], unit: units.Unit, protocol: str) -> canvas.Picture:
    """Draws the scores of the pool after each block of training of its shared weights."""
    figure, axes = canvas.new()
    scores = [unit.of(block[np.isfinite(block)].astype(np.float64)) for block in blocks]
    at = np.concatenate([np.full(len(block), float(number)) for number, block in enumerate(scores, start=1)])
    x, values, shown = at + canvas.jitter(len(at), 0.5), np.concatenate(scores), canvas.some(len(at))
    axes.scatter(x[shown], values[shown], s=9, color=canvas.SERIES[5], lw=0, alpha=0.8).set_gid("pool")
    pick = np.min if unit.is_lower_better else np.max
    for order, (label, statistic) in enumerate((("best", pick), ("median", np.median))):
        line = list(map(statistic, scores))
        axes.plot(range(1, len(line) + 1), line, label=label, marker=".", **canvas.series(order))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.set(xlabel="blocks of training", ylabel=f"{protocol} {unit.label}")
    axes.legend(loc="upper right" if unit.is_lower_better else "lower right")
    caption = (
        "Dots: the architectures of the pool after each block of training of the shared weights; lines: their best and "
        "median. The weights change between blocks, so scores of different blocks are not comparable."
    )
    tips = [f"block {block:.0f}: {unit.form.format(value)}" for block, value in zip(at[shown], values[shown])]
    return canvas.Picture("pools_by_block", "Pool by block", caption, figure, {"pool": tips})


def agreement(finalists: Sequence[Finalist], unit: units.Unit) -> canvas.Picture | None:
    """Draws the fitness of finalists in the search against that after training in full; None if too few."""
    trained = [one for one in finalists if one.epochs is None]
    known = [(one.shared, one.alone) for one in trained if math.isfinite(one.shared) and math.isfinite(one.alone)]
    return ranking.agreement(*np.array(known).T, unit=unit) if len(known) >= _LEAST else None


def table(finalists: Sequence[Finalist], unit: units.Unit, space: str) -> str:
    """Returns a table of finalists, HTML, the best after the longest training first; empty without finalists."""

    def order(one):
        return not math.isfinite(one.alone), -(one.epochs or math.inf), -one.alone

    known, rows, is_halved = spaces.SPACES.get(space), [], any(one.epochs is not None for one in finalists)
    for rank, one in enumerate(sorted(finalists, key=order), start=1):
        alone = unit.text(one.alone) if math.isfinite(one.alone) else "failed"
        epochs = ["all" if one.epochs is None else one.epochs] if is_halved else []
        rows.append((rank, alone, *epochs, unit.text(one.shared), architectures.described(one.arch, known)))
    header = ("rank", f"{unit.name}, trained from scratch", *(["epochs"] if is_halved else []))
    return page.table((*header, f"{unit.name}, in the search", "architecture"), rows)


def _number(value):
    return math.nan if value is None else float(value)
