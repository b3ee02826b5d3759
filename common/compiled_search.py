"""Whole searches as one compiled program, for traceable evaluators; public as `common.search.scan_search`."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, one_round, types
from common import history as history_lib
from common import objectives as objectives_lib
from common.executors import measuring

# `init` and `propose` of the searcher, `evaluate` of the evaluator, the objectives.
Functions = tuple[jax.tree_util.Partial, jax.tree_util.Partial, jax.tree_util.Partial, objectives_lib.Objectives]


class Seconds(NamedTuple):
    """Wall-clock seconds of `search_seeds`: tracing and compiling, and then running all seeds."""

    compile: float
    run: float


OnChunk = Callable[[int, history_lib.History, Seconds], None]


@compilation.in_32_bits
def scan_search(
    key: chex.PRNGKey, searcher: types.Searcher, evaluator: types.Evaluator, *, budget: int, count: int | None = None
) -> history_lib.History:
    """Runs a whole search as one `lax.scan` over its rounds, and returns its history. Traceable.

    Args:
      key: random key; decides everything random in the search.
      evaluator: the source of fitness; must be traceable.
      budget: evaluations, at least 1; the capacity of the history. Proposals of the last round beyond it are dropped.
      count: architectures a round, by default `searcher.count`.

    Raises:
      ValueError: the evaluator is not traceable, or `budget` or `count` is out of range.
    """
    sizes = _sizes(searcher, evaluator, budget=budget, count=count)
    return _scan(key, _functions(searcher, evaluator), **sizes)


@compilation.in_32_bits
def search_seeds(
    keys: chex.Array,
    searcher: types.Searcher,
    evaluator: types.Evaluator,
    *,
    budget: int,
    seeds_at_once: int,
    count: int | None = None,
    on_chunk: OnChunk | None = None,
) -> tuple[history_lib.History, Seconds]:
    """Runs `scan_search` for each of S keys, in equal chunks of parallel searches. Compiles once.

    The devices of this process share the searches of a chunk evenly. Processor cores count as devices with
    `jax_num_cpu_devices`; LaNAS searches then take half the time on two cores.

    Args:
      keys: key[S].
      evaluator: the source of fitness; must be traceable.
      budget: evaluations of each search.
      seeds_at_once: maximum searches of a chunk; memory grows with it.
      count: architectures a round, by default `searcher.count`.
      on_chunk: called with (seeds done so far, histories of the latest of them, seconds so far).

    Returns:
      The histories as NumPy arrays with a leading axis of seeds, and the time.

    Raises:
      ValueError: as `scan_search`; or no key, or `seeds_at_once` below 1; or a fitness is not a fraction in [0, 1].
    """
    num_seeds = keys.shape[0]
    if num_seeds < 1 or seeds_at_once < 1:
        raise ValueError(f"keys and seeds_at_once must be at least 1; got {num_seeds} keys, {seeds_at_once} at once")
    sizes = _sizes(searcher, evaluator, budget=budget, count=count)
    functions = _functions(searcher, evaluator)
    mesh = mesh_of(min(num_seeds, seeds_at_once))
    num_chunks = -(-num_seeds // seeds_at_once)
    at_once = -(-num_seeds // (num_chunks * mesh.size)) * mesh.size
    start = time.perf_counter()
    # Chunks are cut from the bits of the keys: keys themselves count as used once a part of them was. The last chunk
    # is padded with the last key, so that all have one shape.
    bits, impl = np.asarray(jax.random.key_data(keys)), jax.random.key_impl(keys)
    starts = range(0, num_seeds, at_once)
    chunks = [bits[np.minimum(np.arange(first, first + at_once), num_seeds - 1)] for first in starts]
    first_keys = jax.random.wrap_key_data(chunks[0], impl=impl)
    # Compiles once for evaluators that differ in the arrays of their `Partial` only.
    compiled = scan_seeds.lower(first_keys, functions, mesh=mesh, **sizes).compile()
    seconds = Seconds(compile=time.perf_counter() - start, run=0.0)
    parts = []
    for first, chunk in zip(starts, chunks, strict=True):
        start = time.perf_counter()
        histories = jax.device_get(compiled(jax.random.wrap_key_data(chunk, impl=impl), functions))
        types.check_fitness(histories.fitness[histories.status == types.MEASURED])
        parts.append(jax.tree.map(lambda values, keep=num_seeds - first: values[:keep], histories))
        seconds = seconds._replace(run=seconds.run + time.perf_counter() - start)
        if on_chunk is not None:
            on_chunk(min(first + at_once, num_seeds), parts[-1], seconds)
    return jax.tree.map(lambda *values: np.concatenate(values), *parts), seconds


def _sizes(searcher, evaluator, *, budget, count):
    """Returns the static arguments of a search, checked."""
    if not evaluator.is_traceable:
        raise ValueError(f"{evaluator.name} is not traceable, so no compiled search can use it; call run_search")
    count = one_round.check_sizes(searcher, evaluator.space, budget=budget, count=count, evaluator=evaluator)
    return {"num_decisions": len(evaluator.space.num_choices), "budget": budget, "count": count}


def _functions(searcher, evaluator):
    init, propose, _ = one_round.functions(searcher)
    objectives = objectives_lib.of_searcher(searcher)
    return init, propose, measuring.on_device(evaluator.evaluate), measuring.on_device(objectives)


@functools.partial(jax.jit, static_argnames=("num_decisions", "budget", "count"))
def _scan(
    key: chex.PRNGKey, functions: Functions, *, num_decisions: int, budget: int, count: int
) -> history_lib.History:
    # The round and the size of the history do not depend on the key, so under `vmap` they have no batch axis: a
    # `lax.cond` on them in a searcher stays a branch, of which one side runs.
    init, propose, evaluate, objectives = functions

    def body(carry, round_):
        state, history = carry
        archs, state = propose(one_round.propose_key(key, round_), state, history, count=count)
        evaluation = measuring.measure_rows(evaluate, one_round.candidate_keys(key, archs), archs)
        others = objectives_lib.others(objectives, archs, evaluation.costs)
        return (state, history_lib.append(history, archs, evaluation, others)), None

    history = history_lib.empty(budget, num_decisions, len(objectives))
    state = init(jax.random.fold_in(key, one_round.INIT_ROUND), history)
    (_, history), _ = jax.lax.scan(body, (state, history), jnp.arange(-(-budget // count)))
    return history


@functools.partial(jax.jit, static_argnames=("mesh", "num_decisions", "budget", "count"))
def scan_seeds(keys: chex.Array, functions: Functions, *, mesh: jax.sharding.Mesh, **sizes: int) -> history_lib.History:
    """Runs a search for each of key[S], S a multiple of the number of devices, which share them."""

    def part(keys, functions):
        return jax.vmap(lambda key: _scan(key, functions, **sizes))(keys)

    by_seed, whole = jax.sharding.PartitionSpec("seeds"), jax.sharding.PartitionSpec()
    run = jax.shard_map(part, mesh=mesh, in_specs=(by_seed, whole), out_specs=by_seed, check_vma=False)
    return run(keys, functions)


def mesh_of(most: int) -> jax.sharding.Mesh:
    """Returns a mesh of at most `most` devices of this process."""
    devices = jax.local_devices()[:most]
    return jax.make_mesh((len(devices),), ("seeds",), (jax.sharding.AxisType.Auto,), devices=devices)
