"""LaNAS as a `Searcher`: learn the partition, descend, draw in the leaf, back-propagate, repeat.

Paper: arXiv:1906.06832, Algorithms 1 and 2.
"""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import history as histories
from common import rows, types
from common.spaces import factory
from lanas_jax import acquisition, adam, partition, sampling, selection
from lanas_jax import config as configs
from lanas_jax import tree as trees


@chex.dataclass(frozen=True)
class Pool:
    """The rows of a space small enough to list.

    Attributes:
      archs: int32[P, L], distinct canonical rows in lexicographic order.
      features: float32[P, F].
    """

    archs: chex.Array
    features: chex.Array


@chex.dataclass(frozen=True)
class State:
    """What LaNAS carries from round to round.

    Attributes:
      tree: the partition and its statistics.
      leaves: int32[N], the leaf of each row of the history: where it was routed at the last fit, or
        drawn since; -1 if neither.
      is_told: bool[N], rows whose value is in the tree's statistics.
      fitted_size: int32[], size of the history at the last fit; 0 before the first.
      pool_leaves: int32[P], the leaf of each row of the pool (P = 0 without a pool).
      regressor: the adam regressor's state, or None.
      tried: float32[], candidates looked at by the sampler.
      accepted: float32[], how many of them lay in the chosen region.
      fallbacks: float32[], draws that had to fall back to an ancestor's region.
    """

    tree: trees.Tree
    leaves: chex.Array
    is_told: chex.Array
    fitted_size: chex.Array
    pool_leaves: chex.Array
    regressor: Any
    tried: chex.Array
    accepted: chex.Array
    fallbacks: chex.Array


def searcher(
    space: types.SearchSpace,
    config: configs.Config | None = None,
    *,
    pool: np.ndarray | None = None,
    name: str = "lanas",
) -> types.Searcher:
    """Returns LaNAS on `space`.

    Args:
      space: the space.
      config: the settings; ours by default.
      pool: int32[P, L], with the "pool" sampler: the rows to draw from, valid and canonical. By default
        all of the space, which must then be small enough to list.
      name: its name in results.

    Raises:
      ValueError: if a setting is out of range, or the space cannot be listed and no pool is given.
    """
    config = config or configs.Config()
    configs.validate(config)
    to_features = space.features
    if config.features == "one_hot":
        to_features = functools.partial(factory.one_hot, num_choices=space.num_choices)
    box = _Box(space=space, config=config, features=to_features)
    listed = _pool(box, pool)
    return types.Searcher(
        name=name,
        count=config.count,
        init=jax.tree_util.Partial(functools.partial(_init, box), listed),
        propose=jax.tree_util.Partial(functools.partial(_propose, box), listed),
    )


def acceptance_rate(state: State) -> chex.Array:
    """Returns float32[], the fraction of candidates looked at that lay in the chosen region; 1 if none."""
    return jnp.where(state.tried > 0, state.accepted / jnp.maximum(state.tried, 1.0), 1.0)


class _Box:
    """The static part of a searcher: everything that is not an array."""

    def __init__(self, space, config, features):
        self.space, self.config, self.features = space, config, features


def _pool(box, pool):
    """Returns the `Pool`; an empty one if the sampler needs none."""
    space, length = box.space, len(box.space.num_choices)
    num_features = box.features(np.zeros((1, length), np.int32)).shape[1]
    if box.config.sampler != "pool":
        return Pool(archs=np.zeros((0, length), np.int32), features=np.zeros((0, num_features), np.float32))
    if pool is None:
        if space.enumerate is None:
            raise ValueError(
                f"{space.name} has {space.size} networks, too many for the 'pool' sampler to list; set sampler to "
                "'reject' or 'walk', or give a pool of rows"
            )
        pool = space.enumerate()
    else:
        factory.check_rows(pool, space)
        pool = factory.distinct(pool)
    features = np.concatenate(
        [np.asarray(jax.jit(box.features)(pool[at : at + 65536]), np.float32) for at in range(0, len(pool), 65536)]
    )
    return Pool(archs=np.asarray(pool, np.int32), features=features)


def _init(box, pool, key, history):
    config = box.config
    capacity = history.status.shape[0]
    if config.num_initial > capacity:
        raise ValueError(
            f"budget is {capacity}, below num_initial, {config.num_initial}: the tree would never be fitted; raise the "
            "budget or lower num_initial"
        )
    if 2 ** (config.height - 1) > capacity:
        raise ValueError(
            f"height {config.height} makes {2 ** (config.height - 1)} leaves, more than the budget of {capacity}; take "
            f"a height of at most {capacity.bit_length()}"
        )
    num_features = pool.features.shape[1]
    regressor = adam.init(key, config.num_nodes, num_features) if config.regressor == "adam" else None
    return State(
        tree=trees.empty(config.height, num_features),
        leaves=jnp.full((capacity,), -1, jnp.int32),
        is_told=jnp.zeros((capacity,), bool),
        fitted_size=jnp.zeros((), jnp.int32),
        pool_leaves=jnp.zeros((pool.archs.shape[0],), jnp.int32),
        regressor=regressor,
        tried=jnp.zeros((), jnp.float32),
        accepted=jnp.zeros((), jnp.float32),
        fallbacks=jnp.zeros((), jnp.float32),
    )


def _propose(box, pool, key, state, history, *, count):
    config = box.config
    is_measured = histories.is_measured(history)
    features = jnp.where(is_measured[:, None], box.features(jnp.maximum(history.archs, 0)), 0.0)
    values = partition.targets(history.fitness, is_measured, target=config.target)
    since_fit = history.size - state.fitted_size
    is_due = (history.size >= config.num_initial) & ((state.fitted_size == 0) | (since_fit >= config.num_select))
    state = jax.lax.cond(
        is_due,
        lambda state: _learn(box, pool, state, history, features, values),
        lambda state: _tell(state, is_measured, values),
        state,
    )
    measured = (features, values, is_measured)
    draw = _draw_from_pool if config.sampler == "pool" else _draw_from_leaf
    draw_key, random_key = jax.random.split(key)  # under vmap over histories of different sizes both ways are taken
    return jax.lax.cond(
        history.size >= config.num_initial,
        lambda state: draw(box, pool, draw_key, state, history, measured, count=count),
        lambda state: (_draw_random(box, pool, random_key, history, count=count), state),
        state,
    )


def _learn(box, pool, state, history, features, values):
    """The learning phase: fits the tree to all of the history and routes the pool."""
    config = box.config
    is_measured = histories.is_measured(history)
    if config.regressor == "adam":
        num_steps = jnp.where(state.fitted_size == 0, config.adam_steps_first, config.adam_steps)
        tree, leaves, regressor = adam.fit(
            state.regressor, features, values, is_measured, num_steps=num_steps, config=config
        )
    else:
        tree, leaves = partition.fit(features, values, is_measured, config=config)
        regressor = None
    if config.reset == "recompute":
        weight = is_measured.astype(jnp.float32)
        at = jnp.maximum(leaves, trees.num_inner(tree))
        tree = tree.replace(
            visits=trees.count_leaves(tree, at, weight),
            num_valued=trees.count_leaves(tree, at, weight),
            total=trees.count_leaves(tree, at, values * weight),
        )
    return state.replace(
        tree=tree,
        leaves=leaves,
        is_told=is_measured,
        fitted_size=history.size,
        pool_leaves=trees.route(tree, pool.features),
        regressor=regressor,
    )


def _tell(state, is_measured, values):
    """Back-propagates what was measured since: completes the visits counted when it was drawn."""
    is_new = is_measured & ~state.is_told & (state.leaves >= 0)
    tree = selection.back_propagate(state.tree, state.leaves, values, is_new)
    return state.replace(tree=tree, is_told=state.is_told | is_new)


def _exploration(config, values, is_measured):
    """Returns c in the unit of the values: relative to the best so far, or fixed."""
    if config.exploration_scale == "fixed":
        return jnp.float32(config.exploration)
    best = jnp.max(jnp.where(is_measured, values, -jnp.inf), initial=-jnp.inf)
    return config.exploration * jnp.where(jnp.isfinite(best), jnp.abs(best), 1.0)


def _draw_from_pool(box, pool, key, state, history, measured, *, count):
    """Draws `count` rows: each descends by its bound, takes a row of the leaf, and counts as a visit."""
    config = box.config
    features, values, is_measured = measured
    exploration = _exploration(config, values, is_measured)
    is_free = _is_free(pool, history)

    def draw(carry, draw_key):
        tree, is_free, num_free = carry
        descend_key, choose_key = jax.random.split(draw_key)
        leaf = selection.descend(descend_key, tree, num_free > 0, exploration=exploration, ucb=config.ucb)
        is_candidate = is_free & (state.pool_leaves == leaf)
        at = acquisition.choose(
            choose_key,
            tree,
            leaf,
            (pool.features, is_candidate),
            (features, values, is_measured & (state.leaves == leaf)),
            config=config,
        )
        num_free = num_free.at[trees.path(leaf, config.height)].add(-1.0)
        return (selection.visit(tree, leaf), is_free.at[at].set(False), num_free), (at, leaf)

    num_free = trees.count_leaves(state.tree, state.pool_leaves, is_free.astype(jnp.float32))
    keys = jax.random.split(key, count)
    (tree, _, _), (at, leaves) = jax.lax.scan(draw, (state.tree, is_free, num_free), keys)
    placed = history.size + jnp.arange(count)
    return pool.archs[at], state.replace(tree=tree, leaves=state.leaves.at[placed].set(leaves, mode="drop"))


def _draw_from_leaf(box, pool, key, state, history, measured, *, count):
    """As `_draw_from_pool`, where the space cannot be listed: the candidates of a leaf are sampled."""
    del pool
    config = box.config
    features, values, is_measured = measured
    exploration = _exploration(config, values, is_measured)

    def draw(carry, draw_key):
        state, drawn, index = carry
        descend_key, sample_key, choose_key = jax.random.split(draw_key, 3)
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
            space=box.space,
            features=box.features,
            config=config,
        )
        deepest = jnp.max(candidates.depth)
        at = acquisition.choose(
            choose_key,
            state.tree,
            leaf,
            (box.features(jnp.maximum(candidates.archs, 0)), candidates.depth == deepest),
            (features, values, is_measured & (state.leaves == leaf)),
            config=config,
        )
        state = state.replace(
            tree=selection.visit(state.tree, leaf),
            tried=state.tried + candidates.tried,
            accepted=state.accepted + candidates.accepted,
            fallbacks=state.fallbacks + (deepest < config.height - 1),
        )
        return (state, drawn.at[index].set(candidates.archs[at]), index + 1), leaf

    drawn = jnp.full((count, history.archs.shape[1]), -1, jnp.int32)
    keys = jax.random.split(key, count)
    (state, archs, _), leaves = jax.lax.scan(draw, (state, drawn, jnp.int32(0)), keys)
    placed = history.size + jnp.arange(count)
    return archs, state.replace(leaves=state.leaves.at[placed].set(leaves, mode="drop"))


def _is_free(pool, history):
    """Returns bool[P]: rows of the pool that the history does not hold."""
    at = rows.find(pool.archs, history.archs)
    return jnp.ones((pool.archs.shape[0],), bool).at[at].set(False, mode="drop")


def _draw_random(box, pool, key, history, *, count):
    """Draws `count` different new rows, uniformly from the pool, or as the space samples."""
    if box.config.sampler == "pool":
        scores = jnp.where(_is_free(pool, history), jax.random.uniform(key, pool.archs.shape[:1]), -1.0)
        return pool.archs[jax.lax.top_k(scores, count)[1]]

    def redraw(carry):
        key, archs, is_bad = carry
        key, subkey = jax.random.split(key)
        archs = jnp.where(is_bad[:, None], box.space.sample(subkey, count), archs)
        return key, archs, histories.contains(history, archs) | rows.is_repeat(archs)

    carry = (key, jnp.zeros((count, history.archs.shape[1]), jnp.int32), jnp.ones((count,), bool))
    return jax.lax.while_loop(lambda carry: jnp.any(carry[2]), redraw, carry)[1]
