"""Sampling of the architecture that a step of training on shared weights trains.

A sampler is a partial, (key, step) -> arch int32[L], called in the compiled step with the key of the run. The
architecture depends on the key and the step only, so a resumed run samples the same ones. The arrays of a sampler are
arguments of the compiled program, so another pool of the same size compiles nothing.
"""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import config, spaces, types
from common.genotypes import cell_rows
from common.networks import elastic
from common.spaces import factory
from common.supernets import config as supernet_config

_OF_OPERATIONS = ("nasbench201", "nasbench_macro")  # every decision is an operation
NUM_GROWN = 2**20  # architectures that "growing" samples before it samples the whole space


def make(
    sampling: str,
    space: types.SearchSpace,
    pool: np.ndarray | None = None,
    *,
    num_params: Callable[[np.ndarray], np.ndarray] | None = None,
    num_growing: float = 0.0,
) -> jax.tree_util.Partial:
    """Returns a sampler of architectures.

    Args:
      sampling: one of `config.SAMPLINGS`.
      pool: int32[P, L] to sample from; None: the whole space.
      num_params: int32[P, L] -> int64[P], for sampling "num_params".
      num_growing: steps before all architectures are sampled, for samplings "growing" and "shrinking".

    Raises:
      ValueError: the pool is empty or missing, or a row is not a canonical architecture of the space.
    """
    if pool is not None:
        pool = np.asarray(pool, np.int32)
        if not len(pool):
            raise ValueError("the pool of architectures is empty; give at least one")
        factory.check_rows(pool, space)
        if sampling in supernet_config.WHOLE_SPACE:
            raise ValueError(f"sampling {sampling!r} is for the whole space, not for a pool; choose another")
    if sampling == "fair":
        return fair(space.name)
    if sampling in ("sandwich", "sandwich_adaptive"):
        return sandwich(space.name)
    if sampling == "shrinking":
        return shrinking(space.name, num_growing)
    if sampling == "num_params":
        if pool is None:
            raise ValueError("sampling 'num_params' needs a pool; give one")
        return in_proportion(pool, num_params(pool))
    if sampling == "growing":
        return growing(space.name, num_growing, pool)
    return from_space(space.name) if pool is None else from_pool(pool)


@functools.cache  # equal samplers share a compiled program
def from_space(name: str) -> jax.tree_util.Partial:
    """Returns a sampler of a whole space, by its `sample`."""
    sample = spaces.get(name).sample

    def draw(key, step):
        return sample(jax.random.fold_in(key, step), 1)[0]

    return jax.tree_util.Partial(draw)


def from_pool(archs: np.ndarray) -> jax.tree_util.Partial:
    """Returns a sampler of the rows of int32[P, L] with equal probability."""
    return jax.tree_util.Partial(_from_pool, jnp.asarray(archs, jnp.int32))


def in_proportion(archs: np.ndarray, weights: np.ndarray) -> jax.tree_util.Partial:
    """Returns a sampler of the rows of int32[P, L] in proportion to `weights`, number[P].

    NAO's TensorFlow program passes its sampler the weights where it expects their logarithms; this is what NAO-V2
    describes.

    Raises:
      ValueError: there is not one positive finite weight for each.
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (len(archs),) or not np.all(np.isfinite(weights) & (weights > 0)):
        raise ValueError(f"weights must be {len(archs)} positive numbers, one for each architecture of the pool")
    return jax.tree_util.Partial(
        _in_proportion, jnp.asarray(archs, jnp.int32), jnp.asarray(np.log(weights / weights.sum()), jnp.float32)
    )


@functools.cache
def fair(name: str) -> jax.tree_util.Partial:
    """Returns a sampler that uses every operation equally often (the idea of FairNAS, arXiv:1907.01845).

    Steps form groups of as many steps as there are operations. A group has a random order of the operations for each
    branch of each node, and its n-th step uses the n-th operation: so in a group each branch has each operation once.
    Inputs are uniform at every step. FairNAS accumulates the gradients of a group; here each is a step.

    Of NAS-Bench-201 and NAS-Bench-Macro each edge or layer has each operation or choice once in a group.

    Raises:
      ValueError: the space is not a space of cells, or one of those.
    """
    space = spaces.get(name)
    num_choices = np.array(space.num_choices)
    if name in cell_rows.LAYOUTS:
        layout = cell_rows.LAYOUTS[name]
        columns, num_operations = layout.columns[..., 1].reshape(-1), len(layout.operations)
    elif name in _OF_OPERATIONS:
        columns, num_operations = np.arange(len(num_choices)), int(num_choices[0])
    else:
        known = ", ".join((*cell_rows.LAYOUTS, *_OF_OPERATIONS))
        raise ValueError(f"sampling 'fair' is for spaces of cells, {known}; got {name!r}")

    def draw(key, step):
        orders_key, inputs_key = (jax.random.fold_in(key, part) for part in (0, 1))
        group_key = jax.random.fold_in(orders_key, step // num_operations)
        orders = jnp.tile(jnp.arange(num_operations, dtype=jnp.int32), (len(columns), 1))
        orders = jax.random.permutation(group_key, orders, axis=1, independent=True)
        operations = orders[:, step % num_operations]

        def draw_inputs(key):
            return jax.random.randint(key, num_choices.shape, 0, num_choices).at[columns].set(operations)

        def again(carry):
            key, subkey = jax.random.split(carry[0])
            return key, draw_inputs(subkey)

        first = again((jax.random.fold_in(inputs_key, step), None))
        _, arch = jax.lax.while_loop(lambda carry: ~space.is_valid(carry[1][None])[0], again, first)
        return space.canonicalize(arch[None])[0]

    return jax.tree_util.Partial(draw)


@functools.cache
def sandwich(name: str) -> jax.tree_util.Partial:
    """Returns a sampler of int32[4, L]: a largest network, a smallest one and two random ones (arXiv:1903.05134).

    Decisions without an order of size, such as the kind of a block, are random in the largest and in the smallest too.

    Raises:
      ValueError: the space has no elastic weights.
    """
    config.one_of("space of sampling 'sandwich'", name, elastic.FAMILIES)
    sample, extremes = spaces.get(name).sample, elastic.FAMILIES[name].extremes

    def draw(key, step):
        archs = sample(jax.random.fold_in(key, step), 4)
        return jnp.concatenate([extremes(archs[:2]), archs[2:]])

    return jax.tree_util.Partial(draw)


def shrinking(name: str, num_steps: float) -> jax.tree_util.Partial:
    """Returns a sampler like `sandwich` that shrinks one kind of decision after the other, as Once-for-all does.

    Progressive shrinking (arXiv:1908.09791, section 3.3) trains the largest network, then with smaller kernels, depths
    and expansions besides, one kind after the other; resolutions vary from the start. Here these are phases of one
    training of equal length, by the sandwich rule.

    Args:
      num_steps: steps before all kinds are sampled.

    Raises:
      ValueError: the space has no such phases, or num_steps is not above 0.
    """
    able = [other for other, family in elastic.FAMILIES.items() if family.phases]
    config.one_of("space of sampling 'shrinking'", name, able)
    if not num_steps > 0:
        raise ValueError(f"num_growing must be above 0 steps; got {num_steps}")
    return jax.tree_util.Partial(_shrinking_in(name), jnp.float32(num_steps))


@functools.cache  # equal samplers share a compiled program
def _shrinking_in(name):
    space, family = spaces.get(name), elastic.FAMILIES[name]
    num_choices, phases = np.array(space.num_choices), np.array(family.phases)

    def draw(length, key, step):
        shape = (4, len(num_choices))
        archs = jax.random.randint(jax.random.fold_in(key, step), shape, 0, num_choices[None], jnp.int32)
        archs = jnp.concatenate([family.extremes(archs[:2]), archs[2:]])
        phase = jnp.floor(step / length * phases.max())
        return space.canonicalize(jnp.where(phases[None] <= phase, archs, archs[:1]))

    return draw


def growing(name: str, num_steps: float, pool: np.ndarray | None = None) -> jax.tree_util.Partial:
    """Returns a sampler from a number of architectures that grows geometrically, from one to all.

    A network of one architecture learns in a few hundred steps what the network of all, sampled uniformly from the
    start, may not learn in many thousands; the later architectures start from what it has learned.

    Args:
      num_steps: T, steps before all architectures are sampled.
      pool: int32[P, L]; step t samples its first P^(t / T), rounded down. None: as many of a sequence of
        P = `NUM_GROWN` random architectures, and after T the whole space.

    Raises:
      ValueError: num_steps is not above 0.
    """
    if not num_steps > 0:
        raise ValueError(f"num_growing must be above 0 steps; got {num_steps}")
    length = jnp.float32(num_steps)
    if pool is None:
        return jax.tree_util.Partial(_growing_in(name), length)
    return jax.tree_util.Partial(_growing_in_pool, jnp.asarray(pool, jnp.int32), length)


@functools.cache  # equal samplers share a compiled program
def _growing_in(name):
    sample = spaces.get(name).sample

    def draw(length, key, step):
        archs_key, number_key = (jax.random.fold_in(key, part) for part in (0, 1))
        number = _number(NUM_GROWN, length, number_key, step)
        number = jnp.where(step < length, number, NUM_GROWN + step)
        return sample(jax.random.fold_in(archs_key, number), 1)[0]

    return draw


def _growing_in_pool(archs: chex.Array, length, key, step):
    return archs[_number(archs.shape[0], length, key, step)]


def _number(size, length, key, step):
    """Returns int32[], one of the first size^(step / length) of `size`, or of all of them after step `length`."""
    most = jnp.floor(jnp.float32(size) ** jnp.minimum(step / length, 1.0))
    share = jax.random.uniform(jax.random.fold_in(key, step))
    return jnp.minimum(jnp.floor(share * most), size - 1).astype(jnp.int32)


def _from_pool(archs: chex.Array, key, step):
    return archs[jax.random.randint(jax.random.fold_in(key, step), (), 0, archs.shape[0])]


def _in_proportion(archs: chex.Array, logits: chex.Array, key, step):
    return archs[jax.random.categorical(jax.random.fold_in(key, step), logits)]
