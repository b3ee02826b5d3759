"""LA-MCTS: a tree of kernel boundaries between clusters, Bayesian optimization in the leaf (arXiv:2007.00708)."""

import functools
from typing import Annotated

import chex
import jax
import jax.numpy as jnp

from common import compilation, types
from common import config as configs
from common import history as history_lib
from common.baselines import bayesian_optimization
from common.spaces import factory

_CLUSTER_STEPS, _SOLVER_STEPS = 10, 20


@configs.dataclass
class Config(bayesian_optimization.Config):
    """Settings of LA-MCTS."""

    num_levels: Annotated[int, "largest number of splits above a leaf", configs.Range(at_least=1)] = 6
    leaf_size: Annotated[int, "a node with more measured architectures is split", configs.Range(at_least=1)] = 20
    exploration: Annotated[
        float, "constant of the upper confidence bound, in units of the target", configs.Range(at_least=0)
    ] = 0.1


@compilation.in_32_bits
def searcher(space: types.SearchSpace, config: Config | None = None, *, name: str = "lamcts") -> types.Searcher:
    """Returns LA-MCTS with Bayesian optimization in the leaf, the first of its two samplers.

    The measured architectures of a node are divided by k-means with two clusters, from features and fitness together; a
    boundary between the clusters is learned from the features alone and splits the node. Each round builds the tree
    anew, descends by the upper confidence bound, with the square root of the parent's visits as in the released code,
    and proposes the candidate with the largest expected improvement in the region of the leaf, by a Gaussian process of
    all results, as the released code does. Only nodes on the way down are fitted.

    Where we differ: features are one-hot decisions, and fitness has the weight of all of them together; clusters start
    from the worst and the best member; the boundary is a least-squares support vector machine (Suykens and Vandewalle,
    1999), whose fit is a linear system, with the radial kernel and the constants of the released one; rows are routed
    by it, as the region is, not by their cluster; kernel and candidates of the Gaussian process are those of
    `bayesian_optimization`; the number of levels is limited.
    """
    config = config or Config()
    encode = functools.partial(factory.one_hot, num_choices=space.num_choices)

    def in_region(history: history_lib.History, values: chex.Array, archs: chex.Array) -> chex.Array:
        is_measured = history_lib.is_measured(history)
        features = encode(jnp.concatenate([jnp.maximum(history.archs, 0), archs]))
        return region(features, values, is_measured, config=config)

    return bayesian_optimization.within(space, config, in_region, name=name)


def region(features: chex.Array, values: chex.Array, is_measured: chex.Array, *, config: Config) -> chex.Array:
    """Returns bool[C], the candidates in the region of the leaf with the largest bounds.

    Args:
      features: float32[N + C, F], of the rows of the history, then of the candidates.
      values: float32[N], the targets.
      is_measured: bool[N].
    """
    num_rows = values.shape[0]
    squares = jnp.sum(features**2, axis=1)
    distance = squares[:num_rows, None] + squares[None] - 2.0 * features[:num_rows] @ features.T
    kernel = jnp.exp(-distance / features.shape[1])  # [N, N + C]
    weight = jnp.sqrt(jnp.mean(jnp.where(is_measured, squares[:num_rows], 0.0)))
    points = jnp.concatenate([features[:num_rows], weight * values[:, None]], axis=1)

    def descend(carry, _):
        members, inside = carry
        labels = cluster(points, values, members)
        is_good = boundary(kernel, labels, members) >= 0.0
        good, bad = (members & side[:num_rows] for side in (is_good, ~is_good))
        is_split = (jnp.sum(members) > config.leaf_size) & jnp.any(good) & jnp.any(bad)
        parent_visits = jnp.sum(members)
        goes_good = _bound(values, good, parent_visits, config) >= _bound(values, bad, parent_visits, config)
        is_kept = (is_good == goes_good) | ~is_split
        return (members & is_kept[:num_rows], inside & is_kept[num_rows:]), None

    inside = jnp.ones((features.shape[0] - num_rows,), bool)
    return jax.lax.scan(descend, (is_measured, inside), length=config.num_levels)[0][1]


def cluster(points: chex.Array, values: chex.Array, members: chex.Array) -> chex.Array:
    """Returns float32[N], 1 for the cluster that starts at the best member and -1 for the other one; 0 for others.

    Args:
      points: float32[N, D].
      values: float32[N], whose largest and smallest members are the first centres of k-means.
      members: bool[N].
    """

    def assign(centres, _):
        distance = jnp.sum((points[:, None] - centres[None]) ** 2, axis=-1)
        is_good = distance[:, 0] <= distance[:, 1]
        masks = jnp.stack([members & is_good, members & ~is_good]).astype(jnp.float32)
        means = masks @ points / jnp.maximum(jnp.sum(masks, axis=1, keepdims=True), 1.0)
        centres = jnp.where(jnp.any(masks > 0, axis=1, keepdims=True), means, centres)
        return centres, masks[0] - masks[1]

    ends = [jnp.argmax(jnp.where(members, sign * values, -jnp.inf)) for sign in (1.0, -1.0)]
    return jax.lax.scan(assign, points[jnp.stack(ends)], length=_CLUSTER_STEPS)[1][-1]


def boundary(kernel: chex.Array, labels: chex.Array, members: chex.Array) -> chex.Array:
    """Returns float32[N + C], the values of a least-squares support vector machine, above 0 on the side of label 1.

    Solves (K + I) w = labels less their mean, by conjugate gradients.

    Args:
      kernel: float32[N, N + C], of the rows, with them and with the candidates.
      labels: float32[N], 1 or -1, 0 unless a member.
      members: bool[N].
    """
    mask = members.astype(jnp.float32)
    mean = jnp.sum(labels) / jnp.maximum(jnp.sum(mask), 1.0)
    right = (labels - mean) * mask
    square = kernel[:, : labels.shape[0]]

    def step(carry, _):
        weights, residual, direction = carry
        image = mask * (square @ direction) + direction
        rho = residual @ residual
        alpha = rho / jnp.maximum(direction @ image, 1e-20)
        weights, residual = weights + alpha * direction, residual - alpha * image
        return (weights, residual, residual + residual @ residual / jnp.maximum(rho, 1e-20) * direction), None

    carry = (jnp.zeros_like(right), right, right)
    (weights, _, _), _ = jax.lax.scan(step, carry, length=_SOLVER_STEPS)
    return weights @ kernel + mean


def _bound(values, members, parent_visits, config):
    """The upper confidence bound of a child."""
    visits = jnp.maximum(jnp.sum(members), 1)
    mean = jnp.sum(jnp.where(members, values, 0.0)) / visits
    return mean + 2.0 * config.exploration * jnp.sqrt(2.0 * jnp.sqrt(parent_visits) / visits)


ALGORITHM = types.Algorithm("lamcts", Config(), {"lamcts": Config()}, searcher)
