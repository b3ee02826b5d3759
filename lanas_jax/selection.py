"""UCB selection and backpropagation (arXiv:1906.06832, sections 3.2 and 3.3)."""

import chex
import jax
import jax.numpy as jnp

from lanas_jax import tree as trees


def upper_confidence_bound(
    value: chex.Array, visits: chex.Array, parent_visits: chex.Array, *, exploration: chex.Array, ucb: str
) -> chex.Array:
    """Returns V + 2 c sqrt(2 g(n_parent) / n), +inf where n = 0 (UCT; g is log, or sqrt as in LA-MCTS).

    Args:
      value: float32[...], mean values.
      visits: float32[...], n.
      parent_visits: float32[...], n of the parent.
      exploration: float32[], c, in the unit of `value`.
      ucb: "log" or "sqrt".
    """
    growth = jnp.log(jnp.maximum(parent_visits, 1.0)) if ucb == "log" else jnp.sqrt(parent_visits)
    bonus = 2.0 * exploration * jnp.sqrt(2.0 * growth / jnp.maximum(visits, 1.0))
    return jnp.where(visits > 0, value + bonus, jnp.inf)


def descend(
    key: chex.PRNGKey, tree: trees.Tree, is_open: chex.Array, *, exploration: chex.Array, ucb: str
) -> chex.Array:
    """Returns int32[], the leaf reached by following the larger bound at each split; ties are broken at random.

    Args:
      is_open: bool[M], nodes with candidates left; a closed node is entered only if its sibling is closed too.
      exploration: float32[], c.
      ucb: "log" or "sqrt".
    """
    values = trees.means(tree)
    tie_break = jax.random.uniform(key, values.shape)

    def step(node, _):
        children = 2 * node + jnp.array([1, 2])
        bound = upper_confidence_bound(
            values[children], tree.visits[children], tree.visits[node], exploration=exploration, ucb=ucb
        )
        bound = jnp.where(is_open[children], bound, -jnp.inf)
        is_tied = jnp.all(bound == bound[0])
        prefers_bad = jnp.where(is_tied, tie_break[children[1]] > tie_break[children[0]], bound[1] > bound[0])
        return children[prefers_bad.astype(jnp.int32)], None

    leaf, _ = jax.lax.scan(step, jnp.int32(0), None, length=trees.height(tree) - 1)
    return leaf


def visit(tree: trees.Tree, leaf: chex.Array) -> trees.Tree:
    """Counts a virtual visit, its value still unknown, at int32[] `leaf` and its ancestors."""
    nodes = trees.path(leaf, trees.height(tree))
    return tree.replace(visits=tree.visits.at[nodes].add(1.0))


def back_propagate(tree: trees.Tree, leaves: chex.Array, values: chex.Array, is_valued: chex.Array) -> trees.Tree:
    """Adds the values of visits counted by `visit` to the means up to the root.

    Args:
      leaves: int32[B], the visited leaves.
      values: float32[B]; may be NaN where not `is_valued`.
      is_valued: bool[B], False for failed or pending ones, which stay visits without a value.
    """
    weight = is_valued.astype(jnp.float32)
    leaves = jnp.where(is_valued, leaves, trees.num_inner(tree))
    return tree.replace(
        total=tree.total + trees.count_leaves(tree, leaves, jnp.where(is_valued, values, 0.0)),
        num_valued=tree.num_valued + trees.count_leaves(tree, leaves, weight),
    )
