"""Regressor of the released code: full-batch Adam at a tiny learning rate, warm-started from the last fit.

It takes about 300,000 steps to fit accuracies in percent and serves comparisons with the released code. The
default is the ridge regression of `lanas_jax.partition`.
"""

import chex
import jax
import jax.numpy as jnp
import optax

from lanas_jax import config as configs
from lanas_jax import partition
from lanas_jax import tree as trees

LEARNING_RATE = 1e-5
CLIP_NORM = 5.0


@chex.dataclass(frozen=True)
class AdamState:
    """Linear models of K nodes and the state of their optimizer."""

    params: dict[str, chex.Array]  # dict of weights float32[K, F] and bias float32[K]
    optimizer: chex.ArrayTree  # the optax state, stacked over the K nodes


def optimizer() -> optax.GradientTransformation:
    """Returns Adam (beta 0.9 and 0.999, epsilon 1e-8) behind a clip of the global norm at 5."""
    return optax.chain(optax.clip_by_global_norm(CLIP_NORM), optax.adam(LEARNING_RATE))


def init(key: chex.PRNGKey, num_nodes: int, num_features: int) -> AdamState:
    """Returns initial models: weights Xavier-uniform, +-sqrt(6 / (F + 1)); biases +-1 / sqrt(F)."""
    weights_key, bias_key = jax.random.split(key)
    weights_bound, bias_bound = (6.0 / (num_features + 1)) ** 0.5, num_features**-0.5
    params = {
        "weights": jax.random.uniform(
            weights_key, (num_nodes, num_features), minval=-weights_bound, maxval=weights_bound
        ),
        "bias": jax.random.uniform(bias_key, (num_nodes,), minval=-bias_bound, maxval=bias_bound),
    }
    return AdamState(params=params, optimizer=jax.vmap(optimizer().init)(params))


def fit_node(
    state: AdamState, features: chex.Array, values: chex.Array, is_member: chex.Array, *, num_steps: chex.Array
) -> AdamState:
    """Continues one node's training on the mean squared error of its members.

    Args:
      state: of this node, without the leading axis K.
      features: float32[N, F]; rows of non-members may hold anything.
      values: float32[N], likewise.
      is_member: bool[N]. Without members the state is returned unchanged.
      num_steps: int32[], optimizer steps.
    """
    features = jnp.where(is_member[:, None], features, 0.0)
    values = jnp.where(is_member, values, 0.0)
    num_members = jnp.sum(is_member)

    def loss(params):
        errors = jnp.where(is_member, features @ params["weights"] + params["bias"] - values, 0.0)
        return jnp.sum(errors**2) / jnp.maximum(num_members, 1)

    def step(_, carry):
        params, moments = carry
        updates, moments = optimizer().update(jax.grad(loss)(params), moments, params)
        return optax.apply_updates(params, updates), moments

    num_steps = jnp.where(num_members > 0, num_steps, 0)
    params, moments = jax.lax.fori_loop(0, num_steps, step, (state.params, state.optimizer))
    return AdamState(params=params, optimizer=moments)


def fit(
    state: AdamState,
    features: chex.Array,
    values: chex.Array,
    is_measured: chex.Array,
    *,
    num_steps: chex.Array,
    config: configs.Config,
) -> tuple[trees.Tree, chex.Array, AdamState]:
    """Continues the training of every node, top down.

    Args:
      state: of all M nodes.
      features: float32[N, F]; unmeasured rows may hold anything.
      values: float32[N], the targets.
      is_measured: bool[N].
      num_steps: int32[], optimizer steps per node.

    Returns:
      (tree, leaves int32[N], state); tree and leaves as in `lanas_jax.partition.fit`.
    """
    levels = []

    def fit_level(depth, members, prior):
        del prior
        here = trees.level(depth)
        before = jax.tree.map(lambda x: x[here], state)
        after = jax.vmap(lambda node, member: fit_node(node, features, values, member, num_steps=num_steps))(
            before, members
        )
        levels.append(after)
        return after.params["weights"], after.params["bias"]

    tree, leaves = partition.fit_levels(features, values, is_measured, fit_level=fit_level, config=config)
    # Models of leaves that no acquisition uses stay unchanged.
    untouched = jax.tree.map(lambda x: x[2 ** len(levels) - 1 :], state)
    return tree, leaves, jax.tree.map(lambda *parts: jnp.concatenate(parts), *levels, untouched)
