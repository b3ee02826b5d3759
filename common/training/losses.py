"""Losses: cross-entropy with soft targets, auxiliary loss, distillation, weight decay."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from common.networks import logits as logits_lib
from common.training import config as configs

Params = Any


class Teacher(NamedTuple):
    """A trained network whose outputs another one learns besides the labels; an argument of compiled programs."""

    logits: jax.tree_util.Partial  # images float32[B, H, W, C], preprocessed for the learning network -> float32[B, K]
    weight: chex.Numeric  # of the divergence from its outputs; that of the labels is 1 - weight
    temperature: chex.Numeric  # by which the logits of both are divided


def classification(
    logits: logits_lib.Logits,
    targets: chex.Array,
    config: configs.Loss,
    *,
    teacher: Teacher | None = None,
    taught: chex.Array | None = None,
) -> chex.Array:
    """Returns float32[], the mean loss of a batch, with the auxiliary head's if any.

    Args:
      targets: float32[B, K].
      teacher: both heads learn from it too.
      taught: float32[B, K], its logits.
    """
    targets = optax.smooth_labels(targets, config.label_smoothing)  # arXiv:1512.00567

    def of_head(scores):
        loss = jnp.mean(optax.softmax_cross_entropy(scores, targets))
        if teacher is None:
            return loss
        return (1 - teacher.weight) * loss + teacher.weight * distillation(scores, taught, teacher.temperature)

    loss = of_head(logits.main)
    if logits.auxiliary is not None:
        loss += config.auxiliary_weight * of_head(logits.auxiliary)
    return loss


def distillation(logits: chex.Array, taught: chex.Array, temperature: chex.Numeric) -> chex.Array:
    """Returns float32[], the divergence of softened predictions from a teacher's (Hinton et al., arXiv:1503.02531).

    T^2 KL(softmax(taught / T) || softmax(logits / T)), the mean over a batch: by the factor T^2 the size of gradients
    hardly depends on the temperature T.

    Args:
      logits: float32[B, K].
      taught: float32[B, K], the teacher's.
      temperature: T, above 0.
    """
    predicted, soft = jax.nn.log_softmax(logits / temperature), jax.nn.softmax(taught / temperature)
    return temperature**2 * jnp.mean(optax.kl_divergence(predicted, soft))


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
