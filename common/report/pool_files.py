"""What searches leave that train shared weights on a pool of architectures which is renewed; and finalists of any."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common import history as history_lib
from common import types
from common.records import journal as journals
from common.records import json_lines
from common.report import json_files
from common.supernets import population as pools

_FINALISTS, _FINALISTS_JOURNAL = "finalists.json", "finalists.jsonl"  # of images; of recurrent cells


class Finalist(NamedTuple):
    """One of the best of a search, trained alone.

    Attributes:
      arch: int32[L].
      shared: its fitness in the search; NaN where it is not known.
      alone: its fitness after training alone; NaN where that failed.
    """

    arch: np.ndarray
    shared: float
    alone: float


def is_of_pools(config: Mapping[str, Any]) -> bool:
    """Returns whether a config.json is of a search with a pool."""
    return isinstance(config.get("schedule"), dict) and "flags" in config


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config.json of a search with a pool, with what that of other searches says beside."""
    shared = config.get("shared_weights")
    if shared is None:  # recurrent cells
        told = {
            "benchmark": f"recurrent_supernet/{config.get('corpus')}",
            "space": "nao_rnn",
            "seed": config.get("seed"),
        }
    else:
        dataset = pathlib.PurePath(str(shared["dataset"])).stem
        told = {"benchmark": f"supernet/{dataset}", "space": shared["space"], "seed": shared["seed"]}
    protocol = config["flags"].get("protocol") or "validation"
    return {"algorithm": None, "protocol": protocol, "optimum": None, **told, **config}


def read(folder: pathlib.Path) -> tuple[history_lib.History, tuple[np.ndarray, ...]]:
    """Returns (the last pool that was scored, best first, the scores float32[P] of every block's pool).

    Raises:
      ValueError: none was scored yet, or the file is damaged.
    """
    path = folder / pools.POOLS
    record = json_lines.read(path, pools.Record) if path.exists() else pools.Record()
    if not record.scores:
        raise json_files.NothingYetError(
            f"{folder} has no scored pool in {path.name}: its search has measured nothing yet"
        )
    scores = record.scores[-1]
    is_measured = np.isfinite(scores)
    order = np.argsort(np.where(is_measured, -scores, np.inf), kind="stable")
    history = history_lib.History(
        archs=record.pools[len(record.scores) - 1][order].astype(np.int32),
        fitness=scores[order],
        cost=np.zeros(len(scores), np.float32),
        status=np.where(is_measured, types.MEASURED, types.INFEASIBLE)[order].astype(np.int32),
        size=len(scores),
    )
    return history, tuple(record.scores)


def read_finalists(folder: pathlib.Path, history: history_lib.History) -> tuple[Finalist, ...]:
    """Returns the best few of a search, each of which was trained alone, in the order in which the search had them.

    Raises:
      ValueError: their file is damaged.
    """
    path = folder / _FINALISTS
    told = json_files.read(path)
    if told is not None:
        try:
            return tuple(
                Finalist(
                    np.array(one["arch"], np.int32), _number(one.get("shared_weights")), _number(one.get("trained"))
                )
                for one in told["finalists"]
            )
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


def _number(value):
    return math.nan if value is None else float(value)
