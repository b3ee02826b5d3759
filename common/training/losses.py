"""Losses: cross-entropy with soft targets, auxiliary loss, weight decay."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from common.networks import logits as logits_lib
from common.training import config as configs

Params = Any


def classification(logits: logits_lib.Logits, targets: chex.Array, config: configs.Loss) -> chex.Array:
    """Returns float32[], the mean loss of a batch for `targets` float32[B, K], with the auxiliary head's if any."""
    targets = optax.smooth_labels(targets, config.label_smoothing)  # arXiv:1512.00567
    loss = jnp.mean(optax.softmax_cross_entropy(logits.main, targets))
    if logits.auxiliary is not None:
        loss += config.auxiliary_weight * jnp.mean(optax.softmax_cross_entropy(logits.auxiliary, targets))
    return loss


def penalty(params: Params, is_decayed: Params, config: configs.Optimizer) -> chex.Array:
    """Returns float32[], the L2 penalty in the loss; zero if weight decay enters elsewhere."""
    if config.decay in ("gradient", "decoupled") or not config.weight_decay:
        return jnp.float32(0.0)
    factor = config.weight_decay * (0.5 if config.decay == "half_square" else 1.0)
    squares = jax.tree.map(lambda p, decayed: jnp.sum(jnp.square(p)) if decayed else 0.0, params, is_decayed)
    return factor * sum(jax.tree.leaves(squares), start=jnp.float32(0.0))


def is_decayed(params: Params, batch_stats: Params, config: configs.Optimizer) -> Params:
    """Returns a bool per parameter: whether it is decayed; `params` and `batch_stats` may be shapes.

    A parameter belongs to batch normalization if its module has running statistics.
    """
    normalized = {path[:-1] for path, _ in jax.tree_util.tree_flatten_with_path(batch_stats)[0]}
    return jax.tree_util.tree_map_with_path(
        lambda path, _: config.decay_batch_norm or path[:-1] not in normalized, params
    )
