"""Partition tree: arrays in heap order.

The children of node i are 2i + 1 (good) and 2i + 2 (bad). A tree of height h has I = 2^(h-1) - 1 inner nodes, which
split, and 2^(h-1) leaves: M = 2^h - 1 nodes in all (arXiv:1906.06832, section 3.1).
"""

import chex
import jax
import jax.numpy as jnp

_COMPARED_LEVELS = 4


@chex.dataclass(frozen=True)
class Tree:
    """Linear model, split and statistics of every node."""

    weights: chex.Array  # float32[M, F]. Leaves have a model too, for acquisitions.
    bias: chex.Array  # float32[M]; a node predicts features @ weights + bias
    threshold: chex.Array  # float32[M]; the good child of a node takes predictions >= threshold. Unused at leaves.
    visits: chex.Array  # float32[M], n of the upper confidence bound: rows routed here at the fit, and visits since
    total: chex.Array  # float32[M], sum of the values of the visits; failed rows add a visit and no value
    num_valued: chex.Array  # float32[M], visits with a value


def empty(height: int, num_features: int) -> Tree:
    """Returns an unfitted tree, which predicts 0 and routes every row to the good child."""
    num_nodes = 2**height - 1
    zeros = jnp.zeros((num_nodes,), jnp.float32)
    return Tree(
        weights=jnp.zeros((num_nodes, num_features), jnp.float32),
        bias=zeros,
        threshold=zeros,
        visits=zeros,
        total=zeros,
        num_valued=zeros,
    )


def height(tree: Tree) -> int:
    """Returns the number of levels."""
    return tree.bias.shape[0].bit_length()


def num_inner(tree: Tree) -> int:
    """Returns I, the number of nodes that split."""
    return tree.bias.shape[0] // 2


def level(depth: int) -> slice:
    """Returns the nodes at `depth` (0 for the root), contiguous in heap order."""
    return slice(2**depth - 1, 2 ** (depth + 1) - 1)


def predict(tree: Tree, features: chex.Array, node: chex.Array) -> chex.Array:
    """Returns float32[B], the predictions of the model of int32[] `node` for float32[B, F] features."""
    return features @ tree.weights[node] + tree.bias[node]


def route(tree: Tree, features: chex.Array) -> chex.Array:
    """Returns int32[B], the leaf (a node number, I to M - 1) of each row of float32[B, F] features.

    All splits are one matrix product; the descent is then one look-up per level, or a comparison with every node of it,
    which is ten times as fast for few nodes (measured on a CPU).
    """
    inner = num_inner(tree)
    if inner == 0:
        return jnp.zeros(features.shape[:1], jnp.int32)
    scores = features @ tree.weights[:inner].T + tree.bias[None, :inner]
    is_good = scores >= tree.threshold[None, :inner]
    node = jnp.zeros(features.shape[:1], jnp.int32)
    for depth in range(height(tree) - 1):
        if depth <= _COMPARED_LEVELS:
            here = level(depth)
            goes_good = jnp.any((node[:, None] == jnp.arange(here.start, here.stop)[None]) & is_good[:, here], axis=1)
        else:
            goes_good = jnp.take_along_axis(is_good, node[:, None], axis=1)[:, 0]
        node = 2 * node + jnp.where(goes_good, 1, 2)
    return node


def path(node: chex.Array, tree_height: int) -> chex.Array:
    """Returns int32[h], the path from the root to the leaf int32[] `node`, both included."""
    nodes = [node]
    for _ in range(tree_height - 1):
        nodes.append((nodes[-1] - 1) // 2)
    return jnp.stack(nodes[::-1])


def constraints(tree: Tree, leaf: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns the half-spaces whose intersection is the region of int32[] `leaf`.

    Returns:
      (normals float32[h-1, F], offsets float32[h-1]), from the root down: a row x lies in the region where normals @ x
      >= offsets. Towards a bad child the inequality is strict; there the offset is the next larger float.
    """
    nodes = path(leaf, height(tree))
    parents, children = nodes[:-1], nodes[1:]
    is_good = children % 2 == 1
    sign = jnp.where(is_good, 1.0, -1.0)
    offsets = sign * (tree.threshold[parents] - tree.bias[parents])
    # After 0 comes the smallest normal float: smaller ones count as 0 on the devices.
    larger = jnp.where(offsets == 0.0, jnp.finfo(jnp.float32).tiny, jnp.nextafter(offsets, jnp.inf))
    offsets = jnp.where(is_good, offsets, larger)
    return sign[:, None] * tree.weights[parents], offsets


def sum_up(at_leaves: chex.Array) -> chex.Array:
    """Returns float32[M], the sum over each node's leaves of float32[2^(h-1)] values at the leaves."""
    levels = [at_leaves]
    while levels[-1].shape[0] > 1:
        levels.append(levels[-1].reshape(-1, 2).sum(axis=1))
    return jnp.concatenate(levels[::-1])


def count_leaves(tree: Tree, leaves: chex.Array, weight: chex.Array) -> chex.Array:
    """Returns float32[M], the sum at each node of float32[B] `weight` of rows with int32[B] `leaves`."""
    inner = num_inner(tree)
    return sum_up(jax.ops.segment_sum(weight, leaves - inner, num_segments=inner + 1))


def means(tree: Tree) -> chex.Array:
    """Returns float32[M], the mean value of each node; +inf for nodes without values."""
    return jnp.where(tree.num_valued > 0, tree.total / jnp.maximum(tree.num_valued, 1), jnp.inf)
