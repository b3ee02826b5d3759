"""Fitness by look-up in a benchmark table. Traceable, so that a whole search can run inside `jit`."""

import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common import rows, types
from common.tables import table as table_lib

PROTOCOLS = ("validation", "test")


def evaluator(table: table_lib.Table, *, dataset: str | None = None, protocol: str = "validation") -> types.Evaluator:
    """Returns the evaluator of a dataset of a table, which looks up means over runs and the cost of training.

    Of other than canonical rows `ok` is False, and so is that of `test` where the benchmark has no test fitness.
    Where the table has no cost, it is 0.

    Args:
      table: the results.
      dataset: one of `table.info.datasets`; by default the first.
      protocol: fitness that `evaluate` returns: "validation", or "test", the test-oracle protocol of the LaNAS paper.

    Raises:
      ValueError: for an unknown dataset or protocol, and for one of which the benchmark publishes no fitness.
    """
    dataset = next(iter(table.info.datasets)) if dataset is None else dataset
    if dataset not in table.info.datasets:
        known = ", ".join(sorted(table.info.datasets))
        raise ValueError(f"unknown dataset {dataset!r} of {table.info.benchmark}; choose one of {known}")
    metrics = table.info.datasets[dataset]
    configs.one_of("protocol", protocol, PROTOCOLS)
    if protocol not in metrics:
        other = PROTOCOLS[1 - PROTOCOLS.index(protocol)]
        problem = f"{table.info.benchmark} publishes no {protocol} fitness of {dataset}, which cannot be searched"
        raise ValueError(f"{problem}; choose protocol {other!r} (--protocol={other}), which results will name")
    archs = jnp.asarray(table.archs, jnp.int32)
    cost = np.nan_to_num(table_lib.mean(table, metrics["cost"])) if "cost" in metrics else np.zeros(len(archs))
    cost = jnp.asarray(cost, jnp.float32)
    means = {role: table_lib.mean(table, metrics[role]) for role in PROTOCOLS if role in metrics}
    unknown = np.full(len(archs), np.nan, np.float32)
    return types.Evaluator(
        name=f"{table.info.benchmark}/{dataset}",
        space=table_lib.space_of(table),
        protocol=protocol,
        evaluate=jax.tree_util.Partial(_look_up, archs, cost, jnp.asarray(means[protocol])),
        test=jax.tree_util.Partial(_look_up, archs, cost, jnp.asarray(means.get("test", unknown))),
        optimum=float(means[protocol].max()),
        num_archs=len(archs),
        is_traceable=True,
    )


def _look_up(sorted_archs, cost, mean, key, archs):
    del key
    at = rows.find(sorted_archs, archs)
    is_known = at < sorted_archs.shape[0]
    at = jnp.where(is_known, at, 0)
    ok = is_known & jnp.isfinite(mean[at])
    return types.Evaluation(fitness=jnp.where(ok, mean[at], 0.0), cost=jnp.where(is_known, cost[at], 0.0), ok=ok)
