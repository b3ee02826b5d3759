"""Compares zero-cost scores of networks of NAS-Bench-201 with those published by NAS-Bench-Suite-Zero for CIFAR-10.

Spearman's rank correlation over random networks of `nasbench201_costs.npz`, see `nasbench201_costs`, at the published
size, and the time for each network. Other images and other initial parameters than those of the published scores.

    python -m benchmarks.zero_cost --dataset=cifar10 --scores=synflow,nwot --num_archs=100
"""

import os
import pathlib
import time
from collections.abc import Sequence

import numpy as np
from absl import app, flags
from scipy import stats

from common import compilation
from common import config as configs
from common.evaluators import zero_cost, zero_cost_config


def main(argv: Sequence[str]) -> None:
    del argv
    args = flags.FLAGS
    for name in args.scores:
        configs.one_of("zero-cost score", name, zero_cost_config.SCORES)
    compilation.enable_cache(None)
    archive = pathlib.Path(args.data_dir, "nasbench201_costs", "nasbench201_costs.npz")
    source = np.load(archive, allow_pickle=False)
    names, values = source["proxy_columns_cifar10"].tolist(), source["proxies_cifar10"]
    is_scored = np.flatnonzero(np.isfinite(values).all(axis=1))
    rows = np.random.default_rng(0).choice(is_scored, args.num_archs, replace=False)
    archs = source["ops"][rows].astype(np.int32)
    config = zero_cost_config.Config(init_seed=args.seed)
    _, score = zero_cost.scorer("nasbench201", config, dataset=args.dataset, data_dir=args.data_dir)
    for name in args.scores:
        found = [score(name, archs[:1])[0]]  # compiles
        start = time.perf_counter()
        found += score(name, archs[1:]).tolist()
        seconds = (time.perf_counter() - start) / (len(archs) - 1)
        correlation = stats.spearmanr(found, values[rows, names.index(name)], nan_policy="omit").statistic
        print(f"{name:10s} Spearman {correlation:.4f} over {len(archs)} networks, {seconds:.2f} s each", flush=True)


if __name__ == "__main__":
    flags.DEFINE_list("scores", list(zero_cost_config.SCORES), "the scores")
    flags.DEFINE_string("dataset", "cifar10", "images, see common.datasets.images.load")
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "folder with nasbench201_costs and the images")
    flags.DEFINE_integer("num_archs", 100, "random networks", lower_bound=3)
    flags.DEFINE_integer("seed", 0, "of the initial parameters", lower_bound=0)
    app.run(main)
