"""Judges rankings of networks by published accuracies of all of them: NAS-Bench-201 and NAS-Bench-Macro on CIFAR-10.

Kendall's tau over all networks, and over those that reach an accuracy; and the true rank and accuracy of the best of
the networks with the largest scores.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from common import rows
from common.evaluators import benchmark
from common.networks import costs
from common.spaces import nasbench201
from common.statistics import intervals

TRUTHS = ("nasbench201", "nasbench_macro")
AT_LEAST = (0.0, 0.90, 0.93)  # accuracies
TOPS = (10, 20)
_FEWEST = 20  # networks of which a tau is computed


def networks(truth: str, data_dir: str | None, num_archs: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (int32[N, L] different networks, float[N] their test accuracies), all or a random sample of `num_archs`.

    Cells of NAS-Bench-201 that compute the same function are one network, the first of the table. Rows of
    NAS-Bench-Macro count as different, as in the literature. Samples of one seed are nested.
    """
    table = benchmark.evaluator(truth, dataset="cifar10", protocol="test", data_dir=data_dir)
    archs = np.asarray(table.space.enumerate(), np.int32)
    if truth == "nasbench201":
        archs = archs[np.sort(np.unique(live(archs), axis=0, return_index=True)[1])]
    if num_archs is not None and num_archs < len(archs):
        archs = archs[np.random.default_rng(seed).permutation(len(archs))[:num_archs]]
    return archs, np.asarray(table.evaluate(jax.random.key(0), archs).fitness, np.float64)


def live(archs: np.ndarray) -> np.ndarray:
    """Returns int32[N, 6] with "none" at each edge of NAS-Bench-201 on no path from the input to the output."""
    exists = np.stack([np.all(archs[:, path] != 0, axis=1) for path in map(list, nasbench201.PATHS)], axis=1)
    on_path = np.array([[edge in path for edge in range(len(nasbench201.EDGES))] for path in nasbench201.PATHS])
    return np.where(np.any(exists[:, :, None] & on_path, axis=1), archs, 0)


def costs_of(truth: str, archs: np.ndarray) -> dict[str, np.ndarray]:
    """Returns parameters and multiply-adds, float[N]."""
    return {name: cost(archs).astype(np.float64) for name, cost in costs.of_space(truth).items()}


def known(path: str, archs: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the scores by name, float[N], of a file .npz of "arch" int[M, L] and float[M] for each name.

    Raises:
      ValueError: the file is of another space, or lacks architectures.
    """
    found = dict(np.load(path, allow_pickle=False))
    of = found.pop("arch")
    if (length := of.shape[1]) != archs.shape[1]:
        raise ValueError(f"{path} is of another space, with {length} decisions; the networks have {archs.shape[1]}")
    order = rows.lexicographic_order(of)
    at = np.asarray(rows.find(of[order], archs))
    if num_missing := np.count_nonzero(at == len(of)):
        raise ValueError(
            f"{path} lacks {num_missing:,} of the {len(archs):,} networks; leave it out or lower --num_archs"
        )
    return {name: values[order][at] for name, values in found.items()}


def average_rank(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Returns float[N], the mean rank of scores float[N], from 0; the larger the better; unknown is the worst."""
    finite = [np.where(np.isfinite(one), one, -np.inf) for one in scores]
    return np.mean([np.searchsorted(np.sort(one), one) for one in finite], axis=0)


def judge(scores: Mapping[str, np.ndarray], accuracies: np.ndarray) -> dict[str, Any]:
    """Returns for each score its record: "tau" by the least accuracy, and "top" by the number of networks.

    Args:
      scores: by name, float[N], NaN or infinite where unknown, which count as the worst.
      accuracies: float[N], the truth.
    """
    found = {}
    for name, values in scores.items():
        finite = np.isfinite(values)
        values = np.where(finite, values, np.min(values[finite]) - 1)
        record = {"tau": {}, "top": {}}
        for least in AT_LEAST:
            chosen = accuracies >= least
            if np.count_nonzero(chosen) >= _FEWEST:
                tau = intervals.kendall_tau(values[chosen], accuracies[chosen])
                record["tau"][f"{least:g}"] = {**tau._asdict(), "networks": int(chosen.sum())}
        order = np.argsort(-values, kind="stable")
        for top in TOPS:
            best = float(np.max(accuracies[order[:top]]))
            record["top"][str(top)] = {"accuracy": best, "rank": 1 + int(np.sum(accuracies > best))}
        found[name] = record
    return found


def lines(record: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a table of `judge`."""
    header = [f"tau >= {100 * least:g} %" if least else "tau, all" for least in AT_LEAST]
    found = [
        f"{'score':32s}" + "".join(f"{text:>26s}" for text in header) + "".join(f"{f'best of {n}':>20s}" for n in TOPS)
    ]
    for name, one in record.items():
        cells = []
        for least in AT_LEAST:
            tau = one["tau"].get(f"{least:g}")
            text = "-" if tau is None else f"{tau['center']:.3f} ({tau['low']:.3f}, {tau['high']:.3f})"
            cells.append(f"{text:>26s}")
        for top in TOPS:
            best = one["top"][str(top)]
            text = f"{100 * best['accuracy']:.2f} % #{best['rank']}"
            cells.append(f"{text:>20s}")
        found.append(f"{name:32s}" + "".join(cells))
    return found
