"""Candidates inside a leaf's region of a space that is too large to list.

Three samplers with one interface. Each works in batches within a bounded budget and reports how many of
the rows it looked at lay in the region. A candidate's depth is how many of the region's constraints,
from the root down, it satisfies before the first one it violates. Where no candidate satisfies all of
them, those that get deepest are returned: they lie in the region of the leaf's deepest reachable
ancestor, so falling back needs no second search. (The released one-shot code takes a row as soon as any
one constraint holds.)
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import rows, types
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import tree as trees

_LAST_RESORT = 1000  # batches of uniform rows, where nothing that may be drawn was found


@chex.dataclass(frozen=True)
class Candidates:
    """Rows to choose from.

    Attributes:
      archs: int32[C, L], valid canonical rows.
      depth: int32[C], constraints satisfied from the root down; -1 for rows that must not be drawn
        (already in the history, or a repeat).
      tried: float32[], rows looked at.
      accepted: float32[], how many of them satisfied all constraints.
    """

    archs: chex.Array
    depth: chex.Array
    tried: chex.Array
    accepted: chex.Array


def depth_of(features: chex.Array, normals: chex.Array, offsets: chex.Array) -> chex.Array:
    """Returns int32[B]: constraints satisfied before the first violated one, of float32[B, F] features.

    Args:
      features: float32[B, F].
      normals: float32[h-1, F], from the root down.
      offsets: float32[h-1]; satisfied where normals @ x >= offsets.
    """
    if normals.shape[0] == 0:
        return jnp.zeros(features.shape[:1], jnp.int32)
    is_satisfied = features @ normals.T >= offsets[None, :]
    return jnp.sum(jnp.cumprod(is_satisfied.astype(jnp.int32), axis=1), axis=1)


def sample_leaf(
    key: chex.PRNGKey,
    tree: trees.Tree,
    leaf: chex.Array,
    starts: tuple[chex.Array, chex.Array],
    taken: Callable[[chex.Array], chex.Array],
    *,
    space: types.SearchSpace,
    features: Callable[[chex.Array], chex.Array],
    config: configs.Config,
) -> Candidates:
    """Returns candidates of int32[] `leaf`.

    Args:
      key: a key.
      tree: the fitted tree.
      leaf: the leaf.
      starts: (archs int32[N, L], is_start bool[N]), where walks may begin: the measured rows.
      taken: int32[B, L] -> bool[B], rows that must not be drawn.
      space: the space.
      features: archs -> float32[B, F], what the tree was fitted to.
      config: names the sampler and its budget.
    """
    normals, offsets = trees.constraints(tree, leaf)
    full = normals.shape[0]

    def depth_at(archs):
        return depth_of(features(archs), normals, offsets)

    draw = {"reject": _reject, "walk": _walk, "hit_and_run": _hit_and_run}[config.sampler](
        starts, depth_at, (normals, offsets), space=space, config=config
    )
    wanted = 1 if config.acquisition == "uniform" else config.num_candidates

    def keep_on(carry):
        _, candidates, batch = carry
        return (batch < config.max_batches) & (jnp.sum(candidates.depth == full) < wanted)

    def is_stuck(carry):
        _, candidates, batch = carry
        return (batch < config.max_batches + _LAST_RESORT) & jnp.all(candidates.depth < 0)

    def one_batch(carry, draw):
        key, kept, batch = carry
        key, subkey = jax.random.split(key)
        archs = draw(subkey)
        depth = depth_at(archs)
        both = jnp.concatenate([kept.archs, archs])
        both_depth = jnp.concatenate([kept.depth, jnp.where(taken(archs), -1, depth)])
        both_depth = jnp.where(rows.is_repeat(both), -1, both_depth)
        best = jnp.argsort(-both_depth, stable=True)[: kept.archs.shape[0]]
        kept = Candidates(
            archs=both[best],
            depth=both_depth[best],
            tried=kept.tried + archs.shape[0],
            accepted=kept.accepted + jnp.sum(depth == full),
        )
        return key, kept, batch + 1

    length = len(space.num_choices)
    none = Candidates(
        archs=jnp.full((config.num_candidates, length), -1, jnp.int32),
        depth=jnp.full((config.num_candidates,), -1, jnp.int32),
        tried=jnp.float32(0.0),
        accepted=jnp.float32(0.0),
    )
    carry = jax.lax.while_loop(keep_on, lambda carry: one_batch(carry, draw), (key, none, jnp.int32(0)))
    # Where every row found is taken, as near the end of a small space, any new row of the space will do.
    anywhere = _reject(starts, depth_at, (normals, offsets), space=space, config=config)
    return jax.lax.while_loop(is_stuck, lambda carry: one_batch(carry, anywhere), carry)[1]


def _reject(starts, depth_at, constraints, *, space, config):
    """Uniform rows of the space; what lies outside is sorted out by depth."""
    del starts, depth_at, constraints
    return lambda key: space.sample(key, config.num_candidates)


def _walk(starts, depth_at, constraints, *, space, config):
    """Random walks from measured rows, one decision a step, that never leave the region once inside."""
    del constraints

    def draw(key):
        start_key, walk_key = jax.random.split(key)
        archs = _draw_starts(start_key, starts, depth_at, space=space, count=config.num_candidates)

        def step(carry, step_key):
            archs, depth = carry
            moved = space.mutate(step_key, archs)
            moved_depth = depth_at(moved)
            is_accepted = moved_depth >= depth
            archs = jnp.where(is_accepted[:, None], moved, archs)
            return (archs, jnp.where(is_accepted, moved_depth, depth)), None

        keys = jax.random.split(walk_key, config.walk_steps)
        (archs, _), _ = jax.lax.scan(step, (archs, depth_at(archs)), keys)
        return archs

    return draw


def _hit_and_run(starts, depth_at, constraints, *, space, config):
    """Hit-and-run in the relaxed one-hot box, then the nearest row, checked again by its own features.

    A row's relaxation is the box [0, 1]^F of its one-hot code cut by the region's half-spaces; the
    nearest row takes the largest entry of each decision (arXiv:1906.06832, section 3.3). Directions are
    those of the axes: rows are corners of the box, and no other direction leads far from a corner.
    """
    normals, offsets = constraints
    widths = space.num_choices

    def to_row(point):
        ends = np.cumsum(widths)
        groups = [point[:, end - width : end] for end, width in zip(ends, widths)]
        return jnp.stack([jnp.argmax(group, axis=1) for group in groups], axis=1).astype(jnp.int32)

    def one_step(carry, step_key):
        point, depth = carry
        direction_key, length_key = jax.random.split(step_key)
        axis = jax.random.randint(direction_key, point.shape[:1], 0, point.shape[1])
        direction = jax.nn.one_hot(axis, point.shape[1])
        # The half-spaces that the chain is inside of bound the chord; so does the box.
        active = jnp.arange(normals.shape[0])[None, :] < depth[:, None]
        slack = jnp.where(active, point @ normals.T - offsets[None, :], jnp.inf)
        low, high = _chord(slack, direction @ normals.T)
        low_box, high_box = _chord(
            jnp.concatenate([point, 1.0 - point], axis=1), jnp.concatenate([direction, -direction], axis=1)
        )
        low, high = jnp.maximum(low, low_box), jnp.minimum(high, high_box)
        at = low + jax.random.uniform(length_key, low.shape) * (high - low)
        point = jnp.clip(point + at[:, None] * direction, 0.0, 1.0)
        return (point, jnp.maximum(depth, depth_of(point, normals, offsets))), None

    def draw(key):
        start_key, run_key = jax.random.split(key)
        archs = _draw_starts(start_key, starts, depth_at, space=space, count=config.num_candidates)
        point = factory.one_hot(archs, widths)
        keys = jax.random.split(run_key, config.walk_steps * len(widths))
        (point, _), _ = jax.lax.scan(one_step, (point, depth_of(point, normals, offsets)), keys)
        decoded = to_row(point)
        decoded = jnp.where(space.is_valid(decoded)[:, None], decoded, archs)
        return space.canonicalize(decoded)

    return draw


def _chord(slack, rate):
    """Returns (low, high) float32[B]: the steps t with slack + t * rate >= 0 in all columns."""
    slack = jnp.maximum(slack, 0.0)
    crossing = -slack / jnp.where(rate == 0.0, 1.0, rate)
    low = jnp.max(jnp.where((rate > 0) & jnp.isfinite(slack), crossing, -jnp.inf), axis=1, initial=-jnp.inf)
    high = jnp.min(jnp.where((rate < 0) & jnp.isfinite(slack), crossing, jnp.inf), axis=1, initial=jnp.inf)
    return low, high


def _draw_starts(key, starts, depth_at, *, space, count):
    """Draws `count` rows among the measured rows that get deepest; random rows where there are none."""
    archs, is_start = starts
    pick_key, sample_key = jax.random.split(key)
    depth = jnp.where(is_start, depth_at(archs), -1)
    is_best = is_start & (depth == jnp.max(depth))
    order = jax.random.categorical(pick_key, jnp.where(is_best, 0.0, -jnp.inf), shape=(count,))
    return jnp.where(jnp.any(is_start), archs[order], space.sample(sample_key, count))
