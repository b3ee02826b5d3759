"""The contents of study.json: curves, intervals, queries to targets and comparisons of searches over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from common import history as history_lib
from common import metrics, search, types, unseen
from common.executors import measuring
from common.statistics import comparison, intervals


class Curves(NamedTuple):
    """Progress of the S searches of one algorithm over N queries.

    Attributes:
      best_fitness: float32[S, N], the best fitness so far; -inf before the first measurement.
      test_of_best: float32[S, N], the test fitness of the first architecture that has it; NaN where unknown.
      seconds: float64[S, N], cumulative training time in seconds, were all architectures trained one after another.
    """

    best_fitness: np.ndarray
    test_of_best: np.ndarray
    seconds: np.ndarray


def checkpoints(budget: int) -> tuple[int, ...]:
    """Returns the numbers of queries after which a study reports: every 50, and the budget."""
    return (*range(50, budget, 50), budget)


def shown(checkpoints: Sequence[int], *, most: int = 6) -> tuple[int, ...]:
    """Returns at most `most` (3 or more) of the checkpoints: the first ones, the middle and the last."""
    if len(checkpoints) <= most:
        return tuple(checkpoints)
    first = most - 2
    return (*checkpoints[:first], checkpoints[max(first, len(checkpoints) // 2)], checkpoints[-1])


def test_fitness(keys: chex.Array, evaluator: types.Evaluator, archs: chex.Array) -> np.ndarray:
    """Returns the test fitness float32[S, N] of every architecture of a study, NaN where there is none.

    Args:
      keys: key[S], the keys of the searches.
      evaluator: the evaluator of the searches; must be traceable.
      archs: int32[S, N, L].
    """
    if evaluator.test is None:
        return np.full(np.shape(archs)[:2], np.nan, np.float32)
    evaluation = jax.device_get(_evaluate(measuring.on_device(evaluator.test), keys, archs))
    return np.where(evaluation.ok, evaluation.fitness, np.nan).astype(np.float32)


def curves(histories: history_lib.History, test_fitness: np.ndarray | None = None) -> Curves:
    """Returns the curves of full histories with a leading axis of seeds.

    Args:
      histories: of S searches of N measurements.
      test_fitness: float32[S, N], from `test_fitness`; by default unknown.
    """
    best, at = best_so_far(np.asarray(histories.fitness), np.asarray(histories.status) == types.MEASURED)
    test_fitness = np.full(at.shape, np.nan) if test_fitness is None else np.asarray(test_fitness)
    picked = np.take_along_axis(test_fitness, np.maximum(at, 0), axis=1)
    return Curves(
        best_fitness=best.astype(np.float32),
        test_of_best=np.where(at >= 0, picked, np.nan).astype(np.float32),
        seconds=np.cumsum(np.asarray(histories.cost, np.float64), axis=1),
    )


def best_so_far(fitness: np.ndarray, is_measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best fitness after each query, and its position.

    Args:
      fitness: float32[S, N].
      is_measured: bool[S, N]; other rows (infeasible ones) count as queries.

    Returns:
      (float64[S, N], -inf before the first measured row; int[S, N], the first row with that fitness, -1 before).
    """
    values = np.where(is_measured, fitness, -np.inf).astype(np.float64)
    best = np.maximum.accumulate(values, axis=1)
    is_better = best > np.pad(best, ((0, 0), (1, 0)), constant_values=-np.inf)[:, :-1]
    at = np.where(is_better, np.arange(values.shape[1]), -1)
    return best, np.maximum.accumulate(at, axis=1)


def queries_to(best: np.ndarray, target: float) -> np.ndarray:
    """Returns float64[S], the queries after which each search has reached `target`; inf if it never did.

    Args:
      best: float[S, N], the best fitness so far after each query.
      target: a fitness; a value may be below it by `metrics.VALUE_TOLERANCE`.
    """
    is_reached = np.asarray(best, np.float64) >= target - metrics.VALUE_TOLERANCE
    return np.where(np.any(is_reached, axis=1), np.argmax(is_reached, axis=1) + 1.0, np.inf)


def seconds_to(algorithm: Curves, target: float) -> np.ndarray:
    """Returns float64[S], the training time in seconds after which each search has reached `target`; inf if never."""
    queries = queries_to(algorithm.best_fitness, target)
    last = np.where(np.isfinite(queries), queries, 1).astype(int) - 1
    spent = np.take_along_axis(np.asarray(algorithm.seconds, np.float64), last[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(queries), spent, np.inf)


def fitness_of_all(evaluator: types.Evaluator) -> np.ndarray | None:
    """Returns float64[P], the fitness of all networks of the space in ascending order, of a traceable evaluator.

    None if the optimum is unknown, the space cannot be listed, or all networks have one fitness: then a regret has no
    scale.
    """
    pool = unseen.pool_of(evaluator.space)
    if evaluator.optimum is None or not len(pool):
        return None
    evaluate = measuring.on_device(evaluator.evaluate)
    evaluation = jax.device_get(_evaluate(evaluate, jax.random.key(0)[None], pool[None]))
    values = np.sort(evaluation.fitness[evaluation.ok].astype(np.float64))
    return values if len(values) and values[-1] - values[0] > metrics.VALUE_TOLERANCE else None


def of_algorithm(
    algorithm: Curves,
    *,
    optimum: float | None,
    targets: Sequence[float],
    fitness: np.ndarray | None = None,
    after: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Returns the record of one algorithm in study.json.

    Args:
      optimum: the best fitness of the benchmark, by the metric the searches see; None if unknown.
      fitness: float64[P], from `fitness_of_all`; None if unknown.
      after: numbers of queries after which to report, by default `checkpoints`.

    Returns:
      All values of fitness are fractions; None stands for an unknown value.
      `queries_to_optimum`: mean, median, sd, se and found (a fraction), empty where the optimum is unknown; a search
      that did not find it counts as its budget.
      By checkpoint, as text: `best_fitness` and `test_of_best`, means over seeds of the best fitness so far and of
      the test fitness of the first architecture that has it, with standard errors `best_fitness_se` and
      `test_of_best_se`; `simple_regret`, the optimum minus the best fitness; and `intervals` of both: mean,
      interquartile mean and median, each as [value, low, high], 95 % bootstrap intervals, for the median the quartiles.
      With `fitness`, by checkpoint the means of `normalized_regret`, (optimum - best) / (optimum - mean fitness of all
      networks), and `better_left`, the number of networks strictly better than the best; and `by_seed`: for each search
      both, and the `queries` to the optimum, None if it did not find it.
      `targets`: for each target the fraction of seeds that reached it (`found`), and the median and quartiles of the
      queries and the seconds of training.
    """
    best = algorithm.best_fitness.astype(np.float64)
    by_name = {"best_fitness": best, "test_of_best": algorithm.test_of_best.astype(np.float64)}
    after = tuple(after or checkpoints(best.shape[1]))
    record: dict[str, Any] = {"queries_to_optimum": {} if optimum is None else _queries(best, optimum)}
    for name, curve in by_name.items():
        moments = {str(queries): _moments(curve[:, queries - 1]) for queries in after}
        record[name] = {queries: mean for queries, (mean, _, _) in moments.items()}
        record[f"{name}_se"] = {queries: error for queries, (_, _, error) in moments.items()}
    if optimum is not None:
        record["simple_regret"] = {str(queries): _moments(optimum - best[:, queries - 1])[0] for queries in after}
    at = np.array(after) - 1
    if fitness is not None:
        record["by_seed"] = {"queries": queries_to(best, fitness[-1]).tolist()}
        for of in (normalized_regret, better_left):
            each = of(best[:, at], fitness).T
            record["by_seed"][of.__name__] = dict(zip(map(str, after), each.tolist()))
            record[of.__name__] = dict(zip(map(str, after), each.mean(axis=1).tolist()))
    kinds = ("mean", "interquartile_mean", "median")
    record["intervals"] = {name: intervals.by_queries(curve[:, at], after, kinds) for name, curve in by_name.items()}
    record["targets"] = [_target(algorithm, target) for target in targets]
    return record


def normalized_regret(best: np.ndarray, fitness: np.ndarray) -> np.ndarray:
    """Returns (optimum - best) / (optimum - mean of all networks): 0 at the optimum, 1 at the mean.

    Args:
      best: float[...], the best fitness so far, -inf where there is none.
      fitness: float64[P], the fitness of all networks in ascending order.
    """
    regret = fitness[-1] - best
    return np.where(regret <= metrics.VALUE_TOLERANCE, 0.0, regret / (fitness[-1] - fitness.mean()))


def better_left(best: np.ndarray, fitness: np.ndarray) -> np.ndarray:
    """Returns int[...], the number of networks strictly better than each of float[...] `best`; arguments as above."""
    return len(fitness) - np.searchsorted(fitness, best + metrics.VALUE_TOLERANCE, side="right")


def comparisons(algorithms: Mapping[str, Curves], *, targets: Sequence[float]) -> list[dict[str, Any]]:
    """Returns the comparisons of all pairs of algorithms: by final best fitness, and by queries to each target.

    Returns:
      Of each: `of` ("best_fitness" or "queries"), `target` (of queries), `first`, `second`, `improvement` as
      [probability that the first does better, low, high], `p_value` of the Mann-Whitney test, and `adjusted` by
      Holm's method for the number of pairs.
    """
    final = {name: each.best_fitness[:, -1] for name, each in algorithms.items()}
    compared = [{"of": "best_fitness", **one.to_json()} for one in comparison.compare(final)]
    for target in targets:
        queries = {name: queries_to(each.best_fitness, target) for name, each in algorithms.items()}
        pairs = comparison.compare(queries, is_larger_better=False)
        compared += [{"of": "queries", "target": target, **one.to_json()} for one in pairs]
    return compared


def _target(algorithm, target):
    queries = queries_to(algorithm.best_fitness, target)
    return {
        "target": target,
        "found": float(np.mean(np.isfinite(queries))),
        "queries": list(intervals.median(queries)),
        "seconds": list(intervals.median(seconds_to(algorithm, target))),
    }


def _queries(best, optimum):
    queries = queries_to(best, optimum)
    is_found = np.isfinite(queries)
    queries = np.where(is_found, queries, best.shape[1])
    mean, sd, error = _moments(queries)
    return {"mean": mean, "median": float(np.median(queries)), "sd": sd, "se": error, "found": float(np.mean(is_found))}


def _moments(values: np.ndarray) -> tuple[Any, Any, Any]:
    """Returns mean, standard deviation (n - 1) and standard error of float64[S]; None if a value is not finite."""
    if not np.all(np.isfinite(values)):
        return None, None, None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), sd, sd / len(values) ** 0.5


@jax.jit
def _evaluate(evaluate, keys, archs):
    def one(key_and_archs):
        key, archs = key_and_archs
        return evaluate(jax.random.fold_in(key, search.TEST_ROUND), archs)

    return jax.lax.map(one, (keys, archs))
