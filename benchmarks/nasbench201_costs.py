"""Writes costs and zero-cost scores of NAS-Bench-201 as a file for --costs.

The source is `nasbench201_costs.npz`: latencies and energies of HW-NAS-Bench (ICLR 2021) in `hw_DATASET`, scores of
NAS-Bench-Suite-Zero (arXiv:2210.03230) in `proxies_DATASET`, both in the rows `arch_str`. The scores are published for
one of the cells that compute the same function; a cell whose operations outside complete paths differ gets the same.

    python -m benchmarks.nasbench201_costs --dataset=cifar10 --output=cifar10_costs.npz
    python -m launch.lanas --benchmark=nasbench201 --costs=cifar10_costs.npz --warm_up=synflow
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from benchmarks import ranking_truth
from common.spaces import nasbench201

_SCORES_OF = {"cifar10": "cifar10", "cifar100": "cifar10", "imagenet16": "imagenet16"}


def main(argv: Sequence[str]) -> None:
    del argv
    args = flags.FLAGS
    source = np.load(pathlib.Path(args.data_dir, "nasbench201_costs", "nasbench201_costs.npz"), allow_pickle=False)
    np.savez(args.output, **columns(source, args.dataset))


def columns(source, dataset: str) -> dict[str, np.ndarray]:
    """Returns `arch` int[15625, 6] and by name float[15625], NaN where nothing is published."""
    archs = np.array([nasbench201.from_string(text) for text in source["arch_str"]])
    found = dict(zip(source["hw_columns"].tolist(), source[f"hw_{dataset}"].T, strict=True))
    scored = _SCORES_OF[dataset]
    names, values = source[f"proxy_columns_{scored}"].tolist(), source[f"proxies_{scored}"]
    _, cells = np.unique(ranking_truth.live(archs), axis=0, return_inverse=True)
    is_scored = np.isfinite(values).all(axis=1)
    scores = np.full((cells.max() + 1, len(names)), np.nan)
    scores[cells[is_scored]] = values[is_scored]
    # "params" and "flops" are exact costs of the space, which are called "params" and "macs".
    found |= {name: column for name, column in zip(names, scores[cells].T) if name not in ("params", "flops")}
    return {"arch": archs, **found}


if __name__ == "__main__":
    flags.DEFINE_enum("dataset", "cifar10", list(_SCORES_OF), "dataset of the costs; scores of cifar100 are of cifar10")
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "folder with nasbench201_costs")
    flags.DEFINE_string("output", None, "file to write, .npz", required=True)
    app.run(main)
