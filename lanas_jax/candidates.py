"""Search phase: proposals at random, from the leaves of a listed pool, or from the region of a leaf.

Each proposal descends by the upper confidence bound, selects a row of the leaf, and counts as a visit at
once, so that the next one of the round sees it (arXiv:1906.06832, Algorithm 1).
"""

import jax
import jax.numpy as jnp

from common import history as histories
from common import rows
from lanas_jax import acquisition, front_acquisition, grid, kernel, sampling, selection
from lanas_jax import tree as trees


def exploration_of(config, values, is_measured, tree=None):
    """Returns c in the unit of the values: relative to the best so far (the whole hypervolume, of `tree`), or fixed."""
    if config.exploration_scale == "fixed":
        return jnp.float32(config.exploration)
    if tree is not None:
        return config.exploration * tree.total[0]
    best = jnp.max(jnp.where(is_measured, values, -jnp.inf), initial=-jnp.inf)
    return config.exploration * jnp.where(jnp.isfinite(best), jnp.abs(best), 1.0)


def from_pool(setting, pool, key, state, history, measured, *, count):
    """Returns (int32[count, L], state): each row descends by its bound, is taken from the leaf, and counts as a visit.

    Args:
      pool: the rows to choose from.
      state: a `lanas_jax.search.State`, fitted.
      history: everything proposed so far.
      measured: (features float32[N, F], targets float32[N], is_measured bool[N]).
    """
    config = setting.config
    features, values, is_measured = measured
    exploration = exploration_of(config, values, is_measured, None if pool.goal is None else state.tree)
    is_free = free_rows(pool, history.archs)
    noise_key, key = jax.random.split(key)
    noise = jax.random.uniform(noise_key, is_free.shape)
    outlook = observed = None
    if _is_by_front(setting, pool):
        outlook = front_acquisition.look(
            pool.goal,
            state.regressor,
            features,
            history,
            pool.archs,
            pool.features,
            lambda posterior, _: grid.predict(posterior, pool.grid),
        )
        observed = jnp.pad(outlook.observed, ((0, count), (0, 0)))

    def draw(carry, draw_key):
        tree, is_free, num_free, posterior, observed = carry
        descend_key, shift_key, choose_key = jax.random.split(draw_key, 3)
        leaf = selection.descend(descend_key, tree, num_free > 0, exploration=exploration, ucb=config.ucb)
        is_candidate = is_free & (state.pool_leaves == leaf)
        if outlook is None:
            at = acquisition.choose(
                choose_key,
                (noise + jax.random.uniform(shift_key)) % 1.0,  # as good as new noise for other candidates
                tree,
                leaf,
                (pool.features, is_candidate),
                (features, values, is_measured & (state.leaves == leaf)),
                config=config,
                posterior=posterior,
                means=state.pool_means,
            )
            posterior = _observe(posterior, pool.features[at])
        else:
            at = front_acquisition.choose(pool.goal, outlook._replace(observed=observed), is_candidate, noise)
            observed = front_acquisition.believe(outlook, observed, at)
        num_free = num_free.at[trees.path(leaf, config.height)].add(-1.0)
        return (selection.visit(tree, leaf), is_free.at[at].set(False), num_free, posterior, observed), (at, leaf)

    num_free = trees.count_leaves(state.tree, state.pool_leaves, is_free.astype(jnp.float32))
    keys = jax.random.split(key, count)
    carry = (state.tree, is_free, num_free, _with_room(state, count), observed)
    (tree, *_), (at, leaves) = jax.lax.scan(draw, carry, keys)
    placed = history.size + jnp.arange(count)
    return pool.archs[at], state.replace(tree=tree, leaves=state.leaves.at[placed].set(leaves, mode="drop"))


def _is_by_front(setting, pool):
    """Whether candidates are chosen by the expected improvement of the hypervolume."""
    config = setting.config
    return pool.goal is not None and config.regressor == "kernel" and config.acquisition == "expected_improvement"


def _with_room(state, count):
    return None if state.posterior is None else kernel.with_room(state.posterior, count)


def _observe(posterior, features):
    """Counts a selected row as observed, so that the next one of the round is selected elsewhere."""
    return None if posterior is None else kernel.observe(posterior, features, jnp.argmin(posterior.is_held))


def from_leaf(setting, pool, key, state, history, measured, *, count):
    """Like `from_pool` for a space that cannot be listed: samples the candidates of a leaf. `pool` has no rows."""
    config = setting.config
    features, values, is_measured = measured
    exploration = exploration_of(config, values, is_measured, None if pool.goal is None else state.tree)

    def inputs(archs):
        rows_features = setting.features(archs)
        return rows_features if state.posterior is None else kernel.predict(state.posterior, rows_features)[:, None]

    def draw(carry, draw_key):
        state, drawn, index, posterior, believed = carry
        descend_key, sample_key, noise_key, choose_key = jax.random.split(draw_key, 4)
        is_open = jnp.ones((config.num_nodes,), bool)
        leaf = selection.descend(descend_key, state.tree, is_open, exploration=exploration, ucb=config.ucb)

        def is_taken(archs):
            in_round = jnp.any(jnp.all(archs[:, None, :] == drawn[None, :, :], axis=-1), axis=1)
            return histories.contains(history, archs) | in_round

        candidates = sampling.sample_leaf(
            sample_key,
            state.tree,
            leaf,
            (jnp.maximum(history.archs, 0), is_measured),
            is_taken,
            space=setting.space,
            features=inputs,
            config=config,
        )
        archs = jnp.maximum(candidates.archs, 0)
        raw = setting.features(archs)
        deepest = jnp.max(candidates.depth)
        noise = jax.random.uniform(noise_key, candidates.depth.shape)
        is_candidate = candidates.depth == deepest
        if _is_by_front(setting, pool):
            outlook = front_acquisition.look(pool.goal, state.regressor, features, history, archs, raw, kernel.predict)
            outlook = outlook._replace(observed=jnp.concatenate([outlook.observed, believed]))
            at = front_acquisition.choose(pool.goal, outlook, is_candidate, noise)
            believed = front_acquisition.believe(outlook, believed, at)
        else:
            at = acquisition.choose(
                choose_key,
                noise,
                state.tree,
                leaf,
                (raw, is_candidate),
                (features, values, is_measured & (state.leaves == leaf)),
                config=config,
                posterior=posterior,
                means=None if posterior is None else inputs(archs)[:, 0],
            )
            posterior = _observe(posterior, raw[at])
        state = state.replace(
            tree=selection.visit(state.tree, leaf),
            tried=state.tried + candidates.tried,
            accepted=state.accepted + candidates.accepted,
            fallbacks=state.fallbacks + (deepest < config.height - 1),
        )
        return (state, drawn.at[index].set(candidates.archs[at]), index + 1, posterior, believed), leaf

    drawn = jnp.full((count, history.archs.shape[1]), -1, jnp.int32)
    keys = jax.random.split(key, count)
    believed = jnp.zeros((count, len(pool.goal.objectives))) if _is_by_front(setting, pool) else None
    carry = (state, drawn, jnp.int32(0), _with_room(state, count), believed)
    (state, archs, *_), leaves = jax.lax.scan(draw, carry, keys)
    placed = history.size + jnp.arange(count)
    return archs, state.replace(leaves=state.leaves.at[placed].set(leaves, mode="drop"))


def free_rows(pool, archs):
    """Returns bool[P], the rows of the pool that are not among `archs`, int32[B, L]."""
    at = rows.find(pool.archs, archs)
    return jnp.ones((pool.archs.shape[0],), bool).at[at].set(False, mode="drop")


def at_random(setting, pool, key, history, *, count):
    """Returns int32[count, L], distinct new rows, uniform in the pool, or as the space samples them."""
    length = history.archs.shape[1]
    ends = jnp.zeros((0, length), jnp.int32) if pool.goal is None else pool.goal.ends[:count]
    if setting.config.sampler == "pool":
        scores = jax.random.uniform(key, pool.archs.shape[:1])
        scores = scores.at[rows.find(pool.archs, ends)].set(1.0, mode="drop")
        scores = jnp.where(free_rows(pool, history.archs), scores, -1.0)
        return pool.archs[jax.lax.top_k(scores, count)[1]]

    def is_bad(archs):
        return histories.contains(history, archs) | rows.is_repeat(archs)

    def redraw(carry):
        key, archs, is_bad_row = carry
        key, subkey = jax.random.split(key)
        archs = jnp.where(is_bad_row[:, None], setting.space.sample(subkey, count), archs)
        return key, archs, is_bad(archs)

    archs = jnp.zeros((count, length), jnp.int32).at[: len(ends)].set(ends)
    carry = (key, archs, is_bad(archs) | (jnp.arange(count) >= len(ends)))
    return jax.lax.while_loop(lambda carry: jnp.any(carry[2]), redraw, carry)[1]
