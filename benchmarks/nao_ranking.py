"""Kendall's tau of NAO's predictions for all of NAS-Bench-201 from 78, 156 and 469 random cells.

The networks are fitted to the CIFAR-10 validation accuracy of 0.5, 1 and 3 % of the cells, the sizes of samples in
PINAT (Lu et al., AAAI 2023), and rank all 15,625 by their test accuracy.

    python -m benchmarks.nao_ranking --data_dir=FOLDER
"""

import dataclasses
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from scipy import stats

from benchmarks import nao_predictor
from common import tables
from common.spaces import factory
from common.tables import table as table_lib
from nao_jax import learning

NUM_CELLS = (78, 156, 469)
# Fitted once and alone, so longer than in a round of a search, and three networks.
CONFIG = dataclasses.replace(nao_predictor.PREDICTION, num_members=3, fit_first=600)


def _define_flags():
    flags.DEFINE_string("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the data files; else $NAS_DATA_DIR")
    flags.DEFINE_integer("num_draws", 10, "random samples of cells", lower_bound=1)
    flags.DEFINE_integer("first_draw", 0, "seed of the first; settings were chosen on those from 1000 on")
    flags.DEFINE_bool("one_hot", False, "whether the space has one-hot features instead of those shipped")


def main(argv: Sequence[str]) -> None:
    """Prints mean and standard deviation over the samples."""
    del argv
    args = flags.FLAGS
    table = tables.load_benchmark("nasbench201", args.data_dir)
    archs = jnp.asarray(table.archs, jnp.int32)
    validation, test = (table_lib.mean(table, f"cifar10/{part}") for part in ("validation", "test"))
    space = factory.product("one_hot", (5,) * 6) if args.one_hot else table_lib.space_of(table)
    setting = learning.setting(space, CONFIG)

    @jax.jit
    def predict(key, history, archs):
        networks = nao_predictor.fit(setting, key, history)
        return jnp.mean(learning.predict(setting, networks, archs), axis=0)

    print("cells    Kendall's tau, test accuracy     validation accuracy")
    for count in NUM_CELLS:
        taus = []
        for draw in range(args.first_draw, args.first_draw + args.num_draws):
            seen = np.random.default_rng(draw).permutation(len(archs))[:count]
            history = nao_predictor.history_of(np.asarray(archs)[seen], validation[seen])
            prediction = np.asarray(predict(jax.random.key(draw), history, archs))
            taus.append([stats.kendalltau(prediction, truth).statistic for truth in (test, validation)])
        texts = [nao_predictor.mean_and_deviation(column) for column in np.array(taus).T]
        print(f"{count:<9}{texts[0]:>27}{texts[1]:>24}", flush=True)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
