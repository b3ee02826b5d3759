"""The loop of a search as one compiled program: `common.search.scan_search` and `search_seeds` without their checks."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import host_loop
from common.executors import measuring

# Of the searcher `init` and `propose`, of the evaluator `evaluate`.
Functions = tuple[jax.tree_util.Partial, jax.tree_util.Partial, jax.tree_util.Partial]


class Seconds(NamedTuple):
    """Wall-clock seconds of `search_seeds`: tracing and compiling, and then running all seeds."""

    compile: float
    run: float


@functools.partial(jax.jit, static_argnames=("num_decisions", "budget", "count"))
def scan(
    key: chex.PRNGKey, functions: Functions, *, num_decisions: int, budget: int, count: int
) -> history_lib.History:
    """Runs a search; see `common.search.scan_search`.

    The round and the size of the history do not depend on the key, so under `vmap` they have no batch axis.

    A searcher's `lax.cond` on them then stays a branch, of which one side runs.
    """
    init, propose, evaluate = functions

    def one_round(carry, round_):
        state, history = carry
        archs, state = propose(host_loop.propose_key(key, round_), state, history, count=count)
        evaluation = measuring.measure_rows(evaluate, host_loop.candidate_keys(key, archs), archs)
        return (state, history_lib.append(history, archs, evaluation)), None

    history = history_lib.empty(budget, num_decisions)
    state = init(jax.random.fold_in(key, host_loop.INIT_ROUND), history)
    (_, history), _ = jax.lax.scan(one_round, (state, history), jnp.arange(-(-budget // count)))
    return history


def run_seeds(
    keys: chex.Array,
    functions: Functions,
    *,
    seeds_at_once: int,
    on_chunk: Callable[[int, history_lib.History, Seconds], None] | None,
    **sizes: int,
) -> tuple[history_lib.History, Seconds]:
    """Runs a search for each of S keys, in chunks; see `common.search.search_seeds`."""
    num_seeds = keys.shape[0]
    mesh = mesh_of(min(num_seeds, seeds_at_once))
    num_chunks = -(-num_seeds // seeds_at_once)
    at_once = -(-num_seeds // (num_chunks * mesh.size)) * mesh.size
    start = time.perf_counter()
    # Chunks are cut from the bits of the keys: keys themselves count as used once a part of them was. The last
    # one is filled up with repeats of the last key, so that all have one shape.
    bits, impl = np.asarray(jax.random.key_data(keys)), jax.random.key_impl(keys)
    starts = range(0, num_seeds, at_once)
    chunks = [bits[np.minimum(np.arange(first, first + at_once), num_seeds - 1)] for first in starts]
    first_keys = jax.random.wrap_key_data(chunks[0], impl=impl)
    compiled = scan_seeds.lower(first_keys, functions, mesh=mesh, **sizes).compile()
    seconds = Seconds(compile=time.perf_counter() - start, run=0.0)
    parts = []
    for first, chunk in zip(starts, chunks, strict=True):
        start = time.perf_counter()
        histories = jax.device_get(compiled(jax.random.wrap_key_data(chunk, impl=impl), functions))
        parts.append(jax.tree.map(lambda values, keep=num_seeds - first: values[:keep], histories))
        seconds = seconds._replace(run=seconds.run + time.perf_counter() - start)
        if on_chunk is not None:
            on_chunk(min(first + at_once, num_seeds), parts[-1], seconds)
    return jax.tree.map(lambda *values: np.concatenate(values), *parts), seconds


@functools.partial(jax.jit, static_argnames=("mesh", "num_decisions", "budget", "count"))
def scan_seeds(keys: chex.Array, functions: Functions, *, mesh: jax.sharding.Mesh, **sizes: int) -> history_lib.History:
    """Runs a search for each of key[S], a multiple of the devices.

    Each device runs its part of the searches, which have nothing to tell each other.
    """

    def part(keys, functions):
        return jax.vmap(lambda key: scan(key, functions, **sizes))(keys)

    by_seed, whole = jax.sharding.PartitionSpec("seeds"), jax.sharding.PartitionSpec()
    run = jax.shard_map(part, mesh=mesh, in_specs=(by_seed, whole), out_specs=by_seed, check_vma=False)
    return run(keys, functions)


def mesh_of(most: int) -> jax.sharding.Mesh:
    """Returns the devices of this process, at most so many."""
    devices = jax.local_devices()[:most]
    return jax.make_mesh((len(devices),), ("seeds",), (jax.sharding.AxisType.Auto,), devices=devices)
