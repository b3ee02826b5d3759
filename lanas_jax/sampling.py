"""Samplers of candidates in a leaf's region, for spaces that are too large to list.

The three samplers share one interface. Each works in batches within a bounded budget and counts how many
of its rows lie in the region. The depth of a candidate is the number of the region's constraints that it
satisfies, from the root down, before the first violation. If no candidate satisfies all of them, the deepest
ones are returned: they lie in the region of the leaf's deepest reachable ancestor, so the fallback needs no
second search. (The released one-shot code accepts a row as soon as any one constraint holds.)
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

_LAST_RESORT = 1000  # batches of uniform rows, if no admissible candidate was found


@chex.dataclass(frozen=True)
class Candidates:
    """Candidates to choose from.

    Attributes:
      archs: int32[C, L], valid canonical rows.
      depth: int32[C], constraints satisfied from the root down; -1 for inadmissible rows (in the history, or repeated).
      tried: float32[], rows sampled.
      accepted: float32[], rows among them that satisfied all constraints.
    """

    archs: chex.Array
    depth: chex.Array
    tried: chex.Array
    accepted: chex.Array


def depth_of(features: chex.Array, normals: chex.Array, offsets: chex.Array) -> chex.Array:
    """Returns int32[B], the number of constraints satisfied before the first violation.

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
    """Samples candidates of a leaf.

    Args:
      leaf: int32[], the leaf.
      starts: (archs int32[N, L], is_start bool[N]), starting points of walks: the measured rows.
      taken: int32[B, L] -> bool[B], rows that are not admissible.
      features: archs -> float32[B, F], the inputs of the tree's models.
      config: the settings, with the name of the sampler and its budget.
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
    # If all rows found are taken, as near the end of a small space, any new row of the space is accepted.
    anywhere = _reject(starts, depth_at, (normals, offsets), space=space, config=config)
    return jax.lax.while_loop(is_stuck, lambda carry: one_batch(carry, anywhere), carry)[1]


def _reject(starts, depth_at, constraints, *, space, config):
    """Uniform rows of the space; the depth rejects those outside of the region."""
    del starts, depth_at, constraints
    return lambda key: space.sample(key, config.num_candidates)


def _walk(starts, depth_at, constraints, *, space, config):
    """Random walks from measured rows, one decision per step, that never leave the region once inside."""
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
    """Hit-and-run in the relaxed one-hot box, rounded to the nearest row, whose own features are checked again.

    A row's relaxation is the box [0, 1]^F of its one-hot code cut by the region's half-spaces; the
    nearest row takes the largest entry of each decision (arXiv:1906.06832, section 3.3). Directions are
    those of the axes: rows are corners of the box, and any other direction stays close to a corner.
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
        # The half-spaces that contain the point bound the chord; so does the box.
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
    """Samples `count` of the deepest measured rows; random rows if nothing is measured."""
    archs, is_start = starts
    pick_key, sample_key = jax.random.split(key)
    depth = jnp.where(is_start, depth_at(archs), -1)
    is_best = is_start & (depth == jnp.max(depth))
    order = jax.random.categorical(pick_key, jnp.where(is_best, 0.0, -jnp.inf), shape=(count,))

    def sample(carry):  # a loop of one step, as both branches of a condition are computed under vmap
        key, _, _ = carry
        key, subkey = jax.random.split(key)
        return key, space.sample(subkey, count), jnp.bool(True)

    return jax.lax.while_loop(lambda carry: ~carry[2], sample, (sample_key, archs[order], jnp.any(is_start)))[1]
