"""Fitness by look-up in a benchmark table. Traceable, so that a whole search can run inside `jit`."""

import jax
import jax.numpy as jnp
import numpy as np

from common import rows, types
from common.tables import table as table_lib

PROTOCOLS = ("validation", "test")
RUNS = ("mean", "sample")


def evaluator(
    table: table_lib.Table, *, dataset: str | None = None, protocol: str = "validation", runs: str = "mean"
) -> types.Evaluator:
    """Returns the evaluator of one dataset of a table. It takes canonical rows; of others `ok` is False.

    The cost of a row is what the table says of its training, 0 where it says nothing. `test` gives the
    mean test fitness; where the benchmark publishes none its `ok` is False.

    Args:
      table: what was measured.
      dataset: one of `table.info.datasets`; by default the first.
      protocol: what `evaluate` gives: "validation", or "test" for the test-oracle protocol of the LaNAS
        paper.
      runs: "mean" over the training runs of a row, or "sample": one of them, sampled at each evaluation.
        The optimum is the best mean in either case.

    Raises:
      ValueError: for an unknown dataset, protocol or choice of runs, and for a protocol of which the
        benchmark publishes no fitness.
    """
    dataset, metrics = _dataset(table.info, dataset)
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    if runs not in RUNS:
        raise ValueError(f"unknown runs {runs!r}; choose one of {', '.join(RUNS)}")
    if protocol not in metrics:
        other = PROTOCOLS[1 - PROTOCOLS.index(protocol)]
        raise ValueError(
            f"{table.info.benchmark} publishes no {protocol} fitness of {dataset}, so the protocol {protocol!r} "
            f"cannot be searched; choose protocol {other!r} (--protocol={other}), which results will name"
        )
    archs = jnp.asarray(table.archs, jnp.int32)
    cost = np.nan_to_num(table_lib.mean(table, metrics["cost"])) if "cost" in metrics else np.zeros(len(archs))
    cost = jnp.asarray(cost, jnp.float32)
    means = {role: table_lib.mean(table, metrics[role]) for role in PROTOCOLS if role in metrics}
    unknown = np.full(len(archs), np.nan, np.float32)
    evaluate = jax.tree_util.Partial(_mean, archs, cost, jnp.asarray(means[protocol]))
    if runs == "sample":
        values = np.asarray(table.metrics[metrics[protocol]])
        num_runs = np.sum(np.isfinite(values), axis=1)
        ordered = jnp.asarray(np.sort(values, axis=1))  # NaN last
        evaluate = jax.tree_util.Partial(_sample, archs, cost, ordered, jnp.asarray(num_runs, jnp.int32))
    return types.Evaluator(
        name=f"{table.info.benchmark}/{dataset}",
        space=table_lib.space_of(table),
        protocol=protocol,
        evaluate=evaluate,
        test=jax.tree_util.Partial(_mean, archs, cost, jnp.asarray(means.get("test", unknown))),
        optimum=float(means[protocol].max()),
        num_archs=len(archs),
        is_traceable=True,
    )


def _dataset(info, dataset):
    """Returns (name, role -> metric) of the dataset asked for."""
    dataset = next(iter(info.datasets)) if dataset is None else dataset
    if dataset not in info.datasets:
        raise ValueError(
            f"unknown dataset {dataset!r} of {info.benchmark}; choose one of {', '.join(sorted(info.datasets))}"
        )
    return dataset, info.datasets[dataset]


def _mean(sorted_archs, cost, mean, key, archs):
    del key
    at, is_known = _find(sorted_archs, archs)
    return _evaluation(mean[at], cost[at], is_known)


def _sample(sorted_archs, cost, runs, num_runs, key, archs):
    at, is_known = _find(sorted_archs, archs)
    run = jax.random.randint(key, at.shape, 0, num_runs[at])
    return _evaluation(runs[at, run], cost[at], is_known)


def _find(sorted_archs, archs):
    """Returns (int32[B] index of each row, 0 where it is not in the table; bool[B] whether it is)."""
    at = rows.find(sorted_archs, archs)
    is_known = at < sorted_archs.shape[0]
    return jnp.where(is_known, at, 0), is_known


def _evaluation(fitness, cost, is_known):
    ok = is_known & jnp.isfinite(fitness)
    return types.Evaluation(fitness=jnp.where(ok, fitness, 0.0), cost=jnp.where(is_known, cost, 0.0), ok=ok)
