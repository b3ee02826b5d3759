"""Time of one LaNAS learning phase: fitting the tree to the history and routing the pool.

The reference does the same one node at a time: scikit-learn's `Ridge` for each node, whose members are split by their
predictions at their mean target; the rows of the pool are split likewise. Both sides fit the same targets with the same
penalty, so their leaves must agree; the fraction of the pool's rows with equal leaves is printed. Targets are computed
before timing.

    python -m benchmarks.lanas_step --pools=nasbench101 --history_sizes=2000 --heights=5

A pool "binary" has `--num_rows` random rows of 24 binary features, for growth with the rows:

    python -m benchmarks.lanas_step --pools=binary --num_rows=10_000_000 --history_sizes=100_000 --heights=5 --repeats=1
"""

import functools
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from sklearn import linear_model

from common import config as common_config
from common import regression_targets as targets
from common import spaces
from lanas_jax import config as configs
from lanas_jax import partition
from lanas_jax import tree as trees

POOLS = ("nasbench201", "nasbench101", "binary")
_HEADINGS = ("pool", "measured", "height", "acquisition", "ours ms (best)", "reference ms (best)", "ratio", "agree")
_HEADINGS += ("compile s", "MiB")
_WIDTHS = (8, 9, 7, 13, 18, 21, 7, 9, 11, 7)


class Problem(NamedTuple):
    """A pool and its evaluated part.

    Attributes:
      features: float32[N, F], of the evaluated rows.
      values: float32[N], their targets.
      pool: float32[P, F], the features of all rows.
    """

    features: np.ndarray
    values: np.ndarray
    pool: np.ndarray


class Result(NamedTuple):
    """Measurements of one case.

    Attributes:
      ours: float[R], seconds of each repetition.
      reference: float[R], the same of the reference.
      compile_seconds: seconds of tracing and compiling, not included elsewhere.
      temporary_bytes: temporary memory of the compiled program.
      agreement: fraction of the pool's rows with the same leaf.
    """

    ours: np.ndarray
    reference: np.ndarray
    compile_seconds: float
    temporary_bytes: int
    agreement: float


def _define_flags():
    choices = {field.name: field.choices for field in common_config.fields(configs.Config)}
    flags.DEFINE_multi_enum("pools", list(POOLS[:2]), POOLS, "spaces whose networks are the pool; repeat for several")
    flags.DEFINE_integer("num_rows", 1_000_000, "rows of the pool 'binary'", lower_bound=1)
    flags.DEFINE_multi_integer("history_sizes", [100, 1000, 2000, 10_000], "numbers of measured architectures")
    flags.DEFINE_multi_integer("heights", [5, 7, 10], "levels of the tree")
    flags.DEFINE_multi_enum(
        "acquisitions",
        ["greedy"],
        choices["acquisition"],
        "with 'uniform' the leaves have no model, so fewer are fitted",
    )
    flags.DEFINE_enum("prior", "parent", choices["prior"], "weights that the ridge penalty shrinks to")
    flags.DEFINE_integer("repeats", 5, "repetitions of each side, in turns", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Runs the cases that the flags name and prints a table."""
    del argv
    args = flags.FLAGS
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; jax {jax.__version__}, {jax.default_backend()}")
    print(f"refit and route: milliseconds, median of {args.repeats} (best)")
    _print_row(_HEADINGS)
    for name in args.pools:
        pool = pool_features(name, args.num_rows)
        for size in args.history_sizes:
            problem = make_problem(pool, size, seed=0)
            for height in args.heights:
                for acquisition in args.acquisitions:
                    config = configs.Config(regressor="ridge", height=height, acquisition=acquisition, prior=args.prior)
                    result = measure(problem, config, repeats=args.repeats)
                    _print_row(_cells(problem, config, result))
    peak = _peak_bytes() / 2**20
    print(f"load {os.getloadavg()[0]:.1f}; peak resident memory {peak:,.0f} MiB, enumeration and reference included")


def pool_features(name: str, num_rows: int) -> np.ndarray:
    """Returns float32[P, F], the features of every network of the space called `name`, or of P = `num_rows` rows."""
    if name == "binary":
        return np.random.default_rng(0).integers(2, size=(num_rows, 24), dtype=np.int8).astype(np.float32)
    space = spaces.get(name)
    rows, to_features = space.enumerate(), jax.jit(space.features)
    return np.concatenate([np.asarray(to_features(rows[at : at + 65536])) for at in range(0, len(rows), 65536)])


def make_problem(pool: np.ndarray, history_size: int, *, seed: int) -> Problem:
    """Returns a `Problem` with `history_size` random evaluated rows and a synthetic fitness.

    The fitness is a random linear function of the features, plus one of 200 products of two of them, plus
    noise of a tenth of their standard deviation, scaled to [0, 1]; the targets are those of the default configuration.

    Raises:
      ValueError: if the pool has fewer rows than `history_size`.
    """
    if not 1 <= history_size <= len(pool):
        raise ValueError(f"history_size is {history_size}; the pool allows 1 to {len(pool)}")
    rng = np.random.default_rng(seed)
    num_features = pool.shape[1]
    pairs = rng.integers(num_features, size=(200, 2))
    linear, pairwise = rng.normal(size=num_features), 0.3 * rng.normal(size=len(pairs))
    features = pool[rng.choice(len(pool), history_size, replace=False)]
    clean = features @ linear + (features[:, pairs[:, 0]] * features[:, pairs[:, 1]]) @ pairwise
    fitness = clean + 0.1 * np.std(clean) * rng.normal(size=history_size)
    fitness = (fitness - fitness.min()) / max(np.ptp(fitness), 1e-9)
    is_measured = jnp.ones((history_size,), bool)
    values = targets.targets(
        jnp.asarray(fitness, jnp.float32), is_measured, target=configs.PRESETS["lanas_linear"].target
    )
    return Problem(features=features, values=np.asarray(values), pool=pool)


def measure(problem: Problem, config: configs.Config, *, repeats: int) -> Result:
    """Times both sides on one problem alternately, so that other load affects both."""
    features, values, pool = (jnp.asarray(array) for array in problem)
    is_measured = jnp.ones(values.shape, bool)
    start = time.perf_counter()
    compiled = jax.jit(functools.partial(step, config=config)).lower(features, values, is_measured, pool).compile()
    compile_seconds = time.perf_counter() - start

    def ours():
        return jax.block_until_ready(compiled(features, values, is_measured, pool))

    def reference():
        return reference_step(*problem, config=config)

    leaves, expected = np.asarray(ours()[1]), reference()[1]  # a run of each to warm up, and to compare
    times = np.array([[_seconds(ours), _seconds(reference)] for _ in range(repeats)])
    return Result(
        ours=times[:, 0],
        reference=times[:, 1],
        compile_seconds=compile_seconds,
        temporary_bytes=compiled.memory_analysis().temp_size_in_bytes,
        agreement=float(np.mean(leaves == expected)),
    )


def step(features: jax.Array, values: jax.Array, is_measured: jax.Array, pool: jax.Array, *, config: configs.Config):
    """Returns (leaves int32[N] of the evaluated rows, leaves int32[P] of the pool)."""
    tree, leaves = partition.fit(features, values, is_measured, config=config)
    return leaves, trees.route(tree, pool)


def reference_step(features: np.ndarray, values: np.ndarray, pool: np.ndarray, *, config: configs.Config):
    """Computes `step` one node at a time, for evaluated rows.

    With a prior other than zero it is ridge regression of the prior's residuals.
    """
    num_nodes, num_inner = config.num_nodes, config.num_nodes // 2
    num_fitted = num_inner if config.acquisition == "uniform" and config.height > 1 else num_nodes
    weights, bias = np.zeros((num_nodes, features.shape[1]), np.float32), np.zeros(num_nodes, np.float32)
    threshold = np.zeros(num_nodes, np.float32)
    members = {0: np.arange(len(values))}
    for node in range(num_fitted):
        parent, here = (node - 1) // 2, members[node]
        if node == 0 or len(here) >= config.min_samples:
            prior = weights[parent] if node > 0 and config.prior == "parent" else np.zeros_like(weights[0])
            model = linear_model.Ridge(alpha=config.ridge).fit(features[here], values[here] - features[here] @ prior)
            weights[node], bias[node] = prior + model.coef_, model.intercept_
        else:
            weights[node], bias[node] = weights[parent], bias[parent]
        threshold[node] = values[here].mean() if len(here) else threshold[parent]
        if node < num_inner:
            members[2 * node + 1], members[2 * node + 2] = _halves(
                features, here, weights[node], bias[node], threshold[node]
            )
    leaves = _leaves(members, len(features), num_inner)
    members = {0: np.arange(len(pool))}
    for node in range(num_inner):
        here = members[node]
        members[2 * node + 1], members[2 * node + 2] = _halves(pool, here, weights[node], bias[node], threshold[node])
    return leaves, _leaves(members, len(pool), num_inner)


def _halves(features, members, weights, bias, threshold):
    """Returns (members at or above the threshold, the others)."""
    is_good = features[members] @ weights + bias >= threshold
    return members[is_good], members[~is_good]


def _leaves(members, num_rows, num_inner):
    """Returns int32[num_rows], the leaf of each row."""
    leaves = np.zeros(num_rows, np.int32)
    for node in range(num_inner, 2 * num_inner + 1):
        leaves[members[node]] = node
    return leaves


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _print_row(cells):
    """Prints one line of the table immediately, so that an interrupted run shows its results."""
    print("".join(str(cell).rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True)), flush=True)


def _cells(problem, config, result):
    """One row of the table; the ratio is of the medians, MiB is the program's temporary memory."""

    def milliseconds(times):
        return f"{1e3 * np.median(times):,.1f} ({1e3 * np.min(times):,.1f})"

    return (
        f"{len(problem.pool):,}",
        f"{len(problem.values):,}",
        str(config.height),
        config.acquisition,
        milliseconds(result.ours),
        milliseconds(result.reference),
        f"{np.median(result.reference) / np.median(result.ours):.1f}",
        f"{result.agreement:.5f}",
        f"{result.compile_seconds:.1f}",
        f"{result.temporary_bytes / 2**20:,.0f}",
    )


def _peak_bytes():
    """Returns the peak memory of this process; the system reports kilobytes, on macOS bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
