"""Learning phase: fits a linear model and a split at every node (arXiv:1906.06832, section 3.1).

`fit_nodes` fits the nodes of a level to their members; the tree is a loop over levels. The solver
is conjugate gradients in plain `jnp`: batched LAPACK calls inside compiled loops can hang on the CPU, and
a ridge system of F features needs few products.
"""

import chex
import jax
import jax.numpy as jnp

from lanas_jax import config as configs
from lanas_jax import tree as trees

_MAX_GROUP = 128  # rows; larger groups waste more on padding, smaller ones more on sums


def fit_nodes(
    features: chex.Array, values: chex.Array, node: chex.Array, prior: chex.Array, *, ridge: float
) -> tuple[chex.Array, chex.Array]:
    """Fits a model to the members of each node: min sum (w.x + b - v)^2 + ridge |w - prior|^2, b unpenalized.

    Rows are gathered in groups of one node each, so that the moments of all nodes take O(N F^2) operations.

    Args:
      features: float32[N, F], any value (NaN even) where a row belongs to no node.
      values: float32[N], likewise.
      node: int32[N], the node of each row, from 0; K for no node.
      prior: float32[K, F], prior means of the weights.
      ridge: the penalty, above 0.

    Returns:
      (weights float32[K, F], bias float32[K]). A node without members has the prior and 0. The mean prediction
      over the members of a node equals their mean value.
    """
    num_rows, num_nodes = features.shape[0], prior.shape[0]
    size = max(8, min(num_rows // num_nodes, _MAX_GROUP))
    count = jnp.sum(node[None] == jnp.arange(num_nodes)[:, None], axis=1)
    num_groups = -(-count // size)
    last = jnp.cumsum(num_groups)
    order = jnp.argsort(node)
    sorted_node = jnp.minimum(node[order], num_nodes - 1)
    before = jnp.cumsum(count) - count
    at = (last - num_groups)[sorted_node] * size + jnp.arange(num_rows) - before[sorted_node]
    total = (num_rows // size + num_nodes) * size
    at = jnp.where(node[order] < num_nodes, at, total)
    row = jnp.full((total,), num_rows).at[at].set(order, mode="drop").reshape(-1, size)
    group_node = jnp.minimum(jnp.searchsorted(last, jnp.arange(total // size), side="right"), num_nodes - 1)

    def add_up(by_group):
        return jax.ops.segment_sum(by_group, group_node, num_segments=num_nodes)

    def center(columns):
        members = columns.at[row].get(mode="fill", fill_value=0.0)
        mean = add_up(members.sum(axis=1)) / jnp.maximum(count, 1)[:, None]
        return jnp.where((row < num_rows)[..., None], members - mean[group_node][:, None], 0.0), mean

    centered, mean_features = center(features)
    residual, mean_value = center(values[:, None])
    gram = add_up(jnp.swapaxes(centered, 1, 2) @ centered)
    right = add_up(jnp.sum(centered * residual, axis=1)) - jnp.einsum("kfg,kg->kf", gram, prior)

    def solve(gram, right):
        return conjugate_gradient(lambda w: gram @ w + ridge * w, right, jnp.diagonal(gram) + ridge)

    weights = prior + jax.vmap(solve)(gram, right)
    return weights, mean_value[:, 0] - jnp.sum(mean_features * weights, axis=1)


def conjugate_gradient(product, right, diagonal):
    """Solves product(x) = right for x float32[F], by conjugate gradients from zero.

    Stops at a residual of 1e-5 of the right side, in the norm of the preconditioner, or after 2 F steps.
    `jax.scipy.sparse.linalg.cg` reaches the same error (5e-7) in about twice the time, in a small trial.

    Args:
      product: the action of a symmetric positive definite matrix.
      right: float32[F].
      diagonal: float32[F], the diagonal of the matrix, for Jacobi preconditioning.
    """

    def iterate(carry):
        x, residual, direction, rho, index = carry
        image = product(direction)
        alpha = rho / jnp.maximum(direction @ image, 1e-30)
        x, residual = x + alpha * direction, residual - alpha * image
        scaled = residual / diagonal
        rho_next = residual @ scaled
        return x, residual, scaled + rho_next / jnp.maximum(rho, 1e-30) * direction, rho_next, index + 1

    scaled = right / diagonal
    rho = right @ scaled
    enough = 1e-10 * rho
    carry = (jnp.zeros_like(right), right, scaled, rho, 0)
    limit = 2 * right.shape[0]
    return jax.lax.while_loop(lambda carry: (carry[3] > enough) & (carry[4] < limit), iterate, carry)[0]


def fit(
    features: chex.Array, values: chex.Array, is_measured: chex.Array, *, config: configs.Config
) -> tuple[trees.Tree, chex.Array]:
    """Fits the whole tree to the measured architectures by ridge regression.

    Args:
      features: float32[N, F]; unmeasured rows may hold anything.
      values: float32[N], the targets.
      is_measured: bool[N].

    Returns:
      (the tree, without statistics; int32[N], the leaves of the measured rows, -1 for others).
    """

    def fit_level(depth, members, prior):
        del depth
        node = jnp.where(jnp.any(members, axis=0), jnp.argmax(members, axis=0), members.shape[0])
        return fit_nodes(features, values, node, prior, ridge=config.ridge)

    return fit_levels(features, values, is_measured, fit_level=fit_level, config=config)


def fit_levels(features, values, is_measured, *, fit_level, config):
    """Like `fit`, with any regressor: (depth, members bool[K, N], prior float32[K, F]) -> (weights, bias) of K."""
    num_features = features.shape[1]
    tree = trees.empty(config.height, num_features)
    node_of = jnp.where(is_measured, 0, -1)
    # The uniform acquisition does not use the models of leaves, half of all fits.
    num_levels = config.height - (config.acquisition == "uniform" and config.height > 1)
    for depth in range(num_levels):
        here = trees.level(depth)
        nodes = jnp.arange(here.start, here.stop)
        members = node_of[None, :] == nodes[:, None]
        num_members = jnp.sum(members, axis=1)
        parents = (nodes - 1) // 2
        from_parent = depth > 0
        # The inputs of the kernel regressor are predictions, so its prior is to believe them.
        root_prior = jnp.full((1, num_features), float(config.regressor == "kernel"))
        parent_weights = tree.weights[parents] if from_parent else root_prior
        prior = parent_weights if config.prior == "parent" else jnp.broadcast_to(root_prior, parent_weights.shape)
        weights, bias = fit_level(depth, members, prior)
        threshold = _threshold(features, values, members, weights, bias, threshold=config.threshold)
        if (
            config.regressor == "adam"
        ):  # as in the released code: a node without members keeps its model and splits at 0
            threshold = jnp.where(num_members == 0, 0.0, threshold)
        elif from_parent:
            is_small = num_members < config.min_samples
            weights = jnp.where(is_small[:, None], parent_weights, weights)
            bias = jnp.where(is_small, tree.bias[parents], bias)
            threshold = jnp.where(num_members == 0, tree.threshold[parents], threshold)
        tree = tree.replace(
            weights=tree.weights.at[here].set(weights),
            bias=tree.bias.at[here].set(bias),
            threshold=tree.threshold.at[here].set(threshold),
        )
        if depth < config.height - 1:
            node_of = _split(tree, features, values, node_of, routing=config.train_routing)
    return tree, node_of


def _threshold(features, values, members, weights, bias, *, threshold):
    """Returns float32[K], the split values of the K nodes of a level."""
    if threshold == "median":
        return jnp.nan_to_num(jax.vmap(lambda member: jnp.nanmedian(jnp.where(member, values, jnp.nan)))(members))
    if threshold == "mean":
        shown = jnp.broadcast_to(values, members.shape)
    else:
        shown = weights @ jnp.where(jnp.any(members, axis=0)[:, None], features, 0.0).T + bias[:, None]
    total = jnp.sum(jnp.where(members, shown, 0.0), axis=1)
    return total / jnp.maximum(jnp.sum(members, axis=1), 1)


def _split(tree, features, values, node_of, *, routing):
    """Returns int32[N], the child that each row is routed to from its node; -1 stays -1."""
    at = jnp.maximum(node_of, 0)
    if routing == "value":
        shown = values
    else:
        shown = jnp.sum(jnp.where((node_of >= 0)[:, None], features, 0.0) * tree.weights[at], axis=1) + tree.bias[at]
    child = 2 * node_of + jnp.where(shown >= tree.threshold[at], 1, 2)
    return jnp.where(node_of >= 0, child, -1)
