"""Stochastic gradient descent as the published networks were trained with it."""

from typing import Any

import optax

from common.training import config as configs


def sgd(config: configs.Optimizer, schedule: optax.Schedule, is_decayed: Any) -> optax.GradientTransformation:
    """Returns the optimizer, in the arithmetic of PyTorch's SGD.

    The gradient is clipped, decayed weights are added to it (after the clipping, as PyTorch's optimizer does),
    momentum accumulates it without dampening, and the learning rate scales the sum last:

      g <- clip(g) + weight_decay * p;  m <- momentum * m + g;  p <- p - rate * (g + momentum * m if nesterov else m)

    TensorFlow's momentum is the same. A penalty that is part of the loss is in the gradient already.

    Args:
      config: see `config.Optimizer`.
      schedule: step -> learning rate.
      is_decayed: a bool for each parameter, see `losses.is_decayed`.
    """
    parts = []
    if config.clip_norm:
        parts.append(optax.clip_by_global_norm(config.clip_norm))
    if config.decay == "gradient" and config.weight_decay:
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=is_decayed))
    if config.momentum:
        parts.append(optax.trace(config.momentum, nesterov=config.nesterov))
    return optax.chain(*parts, optax.scale_by_learning_rate(schedule))
