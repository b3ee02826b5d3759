"""Partition of a search, refitted from its history for reports."""

import jax
import jax.numpy as jnp
import numpy as np

from common import explanations as records
from common import history as histories
from common import regression_targets as targets
from common import types
from lanas_jax import candidates, kernel, pools, search, selection
from lanas_jax import config as configs
from lanas_jax import tree as trees


def explain(
    space: types.SearchSpace, config: configs.Config, history: histories.History, *, seed: int = 0
) -> records.Partition | None:
    """Returns the tree fitted to all rows before the last `num_select`, and the leaves of the latter.

    In a synchronous search, unless with the adam regressor, this is the tree that proposed the last rows. With adam it
    differs, as a fit there depends on all earlier ones; here there is one, of `adam_steps_first` steps.

    Args:
      history: of the search, in the order proposed.
      seed: for the initial weights of the adam regressor.

    Returns:
      A `records.Partition`; None if too little is measured for a fit, or the search was for several objectives.
    """
    num_rows = int(np.sum(np.asarray(history.status) != types.EMPTY))
    num_before = num_rows - config.num_select
    if history.others.shape[1] or num_before < config.num_initial:
        return None
    if not np.any(np.asarray(history.status)[:num_before] == types.MEASURED):
        return None
    before = _first(history, num_before)
    is_measured = np.asarray(before.status) == types.MEASURED
    if config.failures != "none":
        before = histories.with_failures(before)
    last = jnp.asarray(history.archs[num_before:num_rows], jnp.int32)
    setting = pools.setting(space, config)
    pool = pools.list_pool(setting, None) if config.sampler == "pool" and pools.is_listable(space) else None

    @jax.jit
    def fit(key, before, last, pool):
        features = setting.features(before.archs)
        is_known = histories.is_measured(before)
        values = targets.targets(before.fitness, is_known, target=config.target)
        given = pools.no_pool(before.archs.shape[1], features.shape[1]) if pool is None else pool
        state = search.learn(setting, given, search.start(setting, given, key, before), before, features, values)
        scale = candidates.exploration_of(config, values, is_known)
        inputs = setting.features(last)
        if state.posterior is not None:
            inputs = kernel.predict(state.posterior, inputs)[:, None]
        num_unseen = None
        if pool is not None:
            is_unseen = candidates.free_rows(pool, before.archs) & candidates.free_rows(pool, last)
            num_unseen = trees.count_leaves(state.tree, state.pool_leaves, is_unseen.astype(jnp.float32))
        return state.tree, state.leaves, trees.route(state.tree, inputs), scale, num_unseen

    tree, leaves, selected, exploration, num_unseen = fit(jax.random.key(seed), before, last, pool)
    found = _partition(
        np.asarray(leaves)[is_measured],
        np.asarray(before.fitness)[is_measured],
        _bounds(tree, exploration, config),
        selected,
    )
    return found.replace(num_unseen=None if num_unseen is None else np.asarray(num_unseen))


def _first(history, num_rows):
    """Returns the history of the first rows, on the device."""
    return histories.History(
        archs=jnp.asarray(history.archs[:num_rows], jnp.int32),
        fitness=jnp.asarray(history.fitness[:num_rows], jnp.float32),
        cost=jnp.asarray(history.cost[:num_rows], jnp.float32),
        status=jnp.asarray(history.status[:num_rows], jnp.int32),
        size=jnp.int32(num_rows),
        others=jnp.asarray(history.others[:num_rows], jnp.float32),
    )


def _bounds(tree, exploration, config):
    """Returns float[M], the upper confidence bound of each node; the mean for the root."""
    nodes = jnp.arange(tree.visits.shape[0])
    parents = jnp.maximum((nodes - 1) // 2, 0)
    value = trees.means(tree)
    bound = selection.upper_confidence_bound(
        value, tree.visits, tree.visits[parents], exploration=exploration, ucb=config.ucb
    )
    return np.asarray(jnp.where(nodes == 0, value, bound))


def _partition(leaf, fitness, bound, selected):
    num_nodes = len(bound)
    inner = num_nodes // 2
    members = [[] for _ in range(num_nodes)]
    for node, value in zip(leaf.tolist(), fitness.tolist(), strict=True):
        members[node].append(value)
    for node in range(inner - 1, -1, -1):
        members[node] = members[2 * node + 1] + members[2 * node + 2]
    values = [np.array(each) for each in members]
    mean = np.array([each.mean() if len(each) else np.nan for each in values])
    return records.Partition(
        count=np.array([float(len(each)) for each in values]),
        mean=mean,
        bound=bound,
        quality=np.array([_share_in_order(values[2 * at + 1], values[2 * at + 2]) for at in range(inner)]),
        gap=mean[1 : 2 * inner : 2] - mean[2 : 2 * inner + 1 : 2],
        leaf=leaf,
        fitness=fitness,
        selected=np.asarray(selected),
    )


def _share_in_order(good, bad):
    """Returns the fraction of pairs in which `good` is larger, ties counting half; NaN if one is empty."""
    if not len(good) or not len(bad):
        return np.nan
    return float(np.mean(0.5 + 0.5 * np.sign(good[:, None] - bad[None, :])))
