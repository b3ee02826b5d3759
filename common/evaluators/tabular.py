"""Fitness by look-up in a table. Traceable, so that a whole search can run inside `jit`."""

import dataclasses
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, rows, spaces, types
from common import config as configs
from common.networks import costs as network_costs
from common.spaces import factory, limits
from common.tables import table as table_lib

PROTOCOLS = ("validation", "test")
RUNS = ("mean", "sample")


def evaluator(
    table: table_lib.Table, *, dataset: str | None = None, protocol: str = "validation", runs: str = "mean"
) -> types.Evaluator:
    """Returns the evaluator of a dataset of a table, which looks up fitness and the cost of training.

    Of other than canonical rows `ok` is False, and so is that of `test` where the benchmark has no test fitness.
    Where the table has no cost, it is 0. In a space of codes (`spaces.CODES`) a row is looked up by its network, and
    the fitness of invalid rows is 0.

    Args:
      dataset: one of `table.info.datasets`; by default the first.
      protocol: fitness that `evaluate` returns: "validation", or "test", the test-oracle protocol of the LaNAS paper.
      runs: whether `evaluate` returns the mean over training runs, or one of them, sampled for each evaluation, as the
        published program of NAS-Bench-101 does; the optimum is then unknown. `test` always returns the mean.

    Raises:
      ValueError: for an unknown dataset, protocol or value of runs, and for a protocol of which the benchmark publishes
        no fitness.
    """
    dataset = next(iter(table.info.datasets)) if dataset is None else dataset
    if dataset not in table.info.datasets:
        known = ", ".join(sorted(table.info.datasets))
        raise ValueError(f"unknown dataset {dataset!r} of {table.info.benchmark}; choose one of {known}")
    metrics = table.info.datasets[dataset]
    configs.one_of("protocol", protocol, PROTOCOLS)
    configs.one_of("runs", runs, RUNS)
    if protocol not in metrics:
        other = PROTOCOLS[1 - PROTOCOLS.index(protocol)]
        problem = f"{table.info.benchmark} publishes no {protocol} fitness of {dataset}, which cannot be searched"
        if dataset == "default":  # a file of the user
            problem += f": it has {', '.join(table.metrics)}, but no column {protocol} (or {protocol}_0, ...)"
        raise ValueError(f"{problem}; choose protocol {other!r} (--protocol={other}), which results will name")
    means = {role: table_lib.mean(table, metrics[role]) for role in PROTOCOLS if role in metrics}
    made = _evaluator(
        f"{table.info.benchmark}/{dataset}",
        table_lib.space_of(table),
        table.archs,
        means[protocol],
        test=means.get("test", np.full(len(table.archs), np.nan, np.float32)),
        cost=np.nan_to_num(table_lib.mean(table, metrics["cost"])) if "cost" in metrics else None,
        protocol=protocol,
    )
    made = made._replace(costs=costs(table))
    if runs == "sample":
        fitness = table.metrics[metrics[protocol]]
        cost = table.metrics[metrics["cost"]] if "cost" in metrics else np.zeros((len(fitness), 1), np.float32)
        if cost.shape != fitness.shape:  # not known by run
            means = table_lib.mean(table, metrics["cost"]) if "cost" in metrics else cost[:, 0]
            cost = np.broadcast_to(means[:, None], fitness.shape)
        arrays = map(jnp.asarray, (table.archs.astype(np.int32), np.nan_to_num(cost), fitness))
        made = made._replace(evaluate=jax.tree_util.Partial(_look_up_run, *arrays), optimum=None)
    if table.info.space in spaces.CODES and not table.info.is_listed:
        made = _of_codes(made, spaces.get(spaces.VARIANTS[table.info.space][0]))
    return made


def _of_codes(made, base):
    """Returns an evaluator of all codes of a space, by their networks in the space `base`."""

    def look_up(evaluate, key, archs):
        is_valid = base.is_valid(archs)
        found = evaluate(key, base.canonicalize(archs))
        return types.Evaluation(
            fitness=jnp.where(is_valid, found.fitness, 0.0),
            cost=jnp.where(is_valid, found.cost, 0.0),
            ok=found.ok | ~is_valid,
        )

    evaluate, test = (jax.tree_util.Partial(look_up, function) for function in (made.evaluate, made.test))
    return made._replace(evaluate=evaluate, test=test, num_archs=made.space.size, costs={})


def from_arrays(
    name: str,
    space: types.SearchSpace,
    archs: np.ndarray,
    fitness: np.ndarray,
    *,
    test: np.ndarray | None = None,
    cost: np.ndarray | None = None,
) -> types.Evaluator:
    """Returns the evaluator that looks results up in arrays; of rows that they lack `ok` is False.

    Args:
      name: "benchmark/dataset", for results.
      space: the space of the rows.
      archs: int[P, L], distinct valid canonical rows, in any order.
      fitness: float[P], fractions in [0, 1].
      test: float[P], the test fitness; by default `fitness`, and the protocol is "test".
      cost: float[P], seconds of training; by default 0.

    Raises:
      ValueError: shapes differ, rows are repeated or not canonical, or fitness is not a fraction.
    """
    archs, fitness = np.asarray(archs, np.int32), np.asarray(fitness, np.float32)
    factory.check_rows(archs, space)
    test = fitness if (is_oracle := test is None) else np.asarray(test, np.float32)
    cost = np.zeros(len(archs)) if cost is None else np.asarray(cost)
    for column, values in (("fitness", fitness), ("test", test), ("cost", cost)):
        if values.shape != (len(archs),):
            raise ValueError(f"{column} of {name} must have the shape ({len(archs)},), as archs; got {values.shape}")
    types.check_fitness(fitness)
    order = rows.lexicographic_order(archs)
    archs = archs[order]
    rows.check_sorted(archs, f"archs of {name}, once sorted,")
    protocol = "test" if is_oracle else "validation"
    return _evaluator(name, space, archs, fitness[order], test=test[order], cost=cost[order], protocol=protocol)


def _evaluator(name, space, archs, fitness, *, test, cost, protocol):
    archs = jnp.asarray(archs, jnp.int32)
    cost = jnp.asarray(np.zeros(len(archs)) if cost is None else cost, jnp.float32)
    return types.Evaluator(
        name=name,
        space=space,
        protocol=protocol,
        evaluate=jax.tree_util.Partial(_look_up, archs, cost, jnp.asarray(fitness)),
        test=jax.tree_util.Partial(_look_up, archs, cost, jnp.asarray(test)),
        optimum=float(fitness.max()),
        num_archs=len(archs),
        is_traceable=True,
    )


def costs(table: table_lib.Table) -> dict[str, Callable[[chex.Array], chex.Array]]:
    """Returns the costs of a table's architectures as functions of their rows, see `types.Evaluator.costs`.

    They are the metrics of the table that are no fitness, means over runs, and "params" and "macs" of its space where
    these are known (`common.networks.costs`), unless the table has metrics of these names. Other rows have NaN.
    """
    fitness = {name for roles in table.info.datasets.values() for role, name in roles.items() if role != "cost"}
    known = network_costs.of_space(table.info.space) if network_costs.is_known(table.info.space) else {}
    columns = {name: table_lib.mean(table, name) for name in table.metrics if name not in fitness}
    return known | {name: jax.tree_util.Partial(_column, table.archs, values) for name, values in columns.items()}


def limited(table: table_lib.Table, texts: Sequence[str]) -> table_lib.Table:
    """Returns the rows of a table within limits on its `costs`, such as "params<=3e5", as a space of their own.

    Raises:
      ValueError: a text is no limit, a cost is unknown, or fewer than two rows respect the limits.
    """
    space = limits.part(table_lib.space_of(table), limits.parse(texts), costs(table))
    keep = np.asarray(rows.find(table.archs, space.enumerate()))
    info = dataclasses.replace(table.info, is_listed=True)
    metrics = {name: values[keep] for name, values in table.metrics.items()}
    return dataclasses.replace(table, info=info, archs=table.archs[keep], metrics=metrics)


def _column(sorted_archs, values, archs):
    found = jnp.asarray(values).at[rows.find(sorted_archs, archs)].get(mode="fill", fill_value=jnp.nan)
    return np.asarray(found) if isinstance(archs, np.ndarray) else found


@compilation.one_program
def _look_up(sorted_archs, cost, mean, key, archs):
    del key
    at = rows.find(sorted_archs, archs)
    is_known = at < sorted_archs.shape[0]
    at = jnp.where(is_known, at, 0)
    ok = is_known & jnp.isfinite(mean[at])
    return types.Evaluation(fitness=jnp.where(ok, mean[at], 0.0), cost=jnp.where(is_known, cost[at], 0.0), ok=ok)


@compilation.one_program
def _look_up_run(sorted_archs, cost, runs, key, archs):
    at = rows.find(sorted_archs, archs)
    is_known = at < sorted_archs.shape[0]
    at = jnp.where(is_known, at, 0)
    chance = jnp.where(jnp.isfinite(runs[at]), jax.random.uniform(key, (len(archs), runs.shape[1])), -1.0)
    run = jnp.argmax(chance, axis=1)
    ok = is_known & jnp.isfinite(runs[at, run])
    return types.Evaluation(
        fitness=jnp.where(ok, runs[at, run], 0.0), cost=jnp.where(is_known, cost[at, run], 0.0), ok=ok
    )
