"""Optimizers: SGD with the published settings, Adam."""

from typing import Any

import optax

from common.training import config as configs

EPSILON = 1e-8  # of Adam


def make(config: configs.Optimizer, schedule: optax.Schedule, is_decayed: Any) -> optax.GradientTransformation:
    """Returns the optimizer, with the arithmetic of PyTorch.

    The gradient is clipped, decayed weights are added to it, momentum accumulates it without dampening, and the
    learning rate scales the sum:

      sgd   g <- clip(g) + weight_decay * p;  m <- momentum * m + g
            p <- p - rate * (g + momentum * m if nesterov else m)
      adam  g likewise;  m <- momentum * m + (1 - momentum) * g;  v <- beta2 * v + (1 - beta2) * g^2
            p <- p - rate * m' / (sqrt(v') + 1e-8), where m' and v' are the bias-corrected m and v

    TensorFlow's momentum is the same. Decoupled decay is not added to the gradient; each step subtracts
    rate * weight_decay * p. A penalty that is part of the loss is in the gradient already.
    """
    parts = []
    if config.clip_norm:
        parts.append(optax.clip_by_global_norm(config.clip_norm))
    decay = [optax.add_decayed_weights(config.weight_decay, mask=is_decayed)] if config.weight_decay else []
    if config.decay == "gradient":
        parts += decay
    if config.optimizer == "adam":
        parts.append(optax.scale_by_adam(b1=config.momentum, b2=config.beta2, eps=EPSILON))
    elif config.momentum:
        parts.append(optax.trace(config.momentum, nesterov=config.nesterov))
    if config.decay == "decoupled":
        parts += decay
    return optax.chain(*parts, optax.scale_by_learning_rate(schedule))
