"""Learning rates and the progress of training, as functions of the step."""

import chex
import jax.numpy as jnp
import numpy as np
import optax

from common.training import config as configs


def learning_rate(config: configs.Schedule, *, num_epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Returns step int32[] -> learning rate float32[].

    Time runs in steps or, as in most published code, stands still within an epoch. The schedules are those
    of Loshchilov and Hutter (arXiv:1608.03983) for `cosine` and `cosine_restarts`, and

      step         learning_rate * decay_factor^floor(t / decay_epochs)
      exponential  learning_rate * decay_factor^(t / decay_epochs)

    with t in epochs. A warm-up scales them by (n + 1) / N in its n-th of N epochs or steps.

    Args:
      config: see `config.Schedule`.
      num_epochs: of the whole training run.
      steps_per_epoch: how many steps an epoch has.
    """
    unit = steps_per_epoch if config.schedule_unit == "epoch" else 1
    value_at = _VALUES[config.schedule](config, config.period_epochs or num_epochs, num_epochs, steps_per_epoch)

    def schedule(step):
        step = jnp.asarray(step, jnp.int32)
        step -= step % unit
        value = value_at(step)
        if config.warmup_epochs:
            value *= jnp.minimum(1.0, (step + unit) / (config.warmup_epochs * steps_per_epoch))
        return value.astype(jnp.float32)

    return schedule


def progress(config: configs.Config, *, steps_per_epoch: int) -> optax.Schedule:
    """Returns step int32[] -> float32[], the fraction of training done, at most 1: the drop-path ramp."""
    unit = steps_per_epoch if config.progress_unit == "epoch" else 1
    num_steps = (config.progress_epochs or config.num_epochs) * steps_per_epoch

    def fraction(step):
        step = jnp.asarray(step, jnp.int32)
        if config.progress_restarts:
            step %= num_steps
        return jnp.minimum(1.0, (step - step % unit) / num_steps).astype(jnp.float32)

    return fraction


def _constant(config, period, num_epochs, steps_per_epoch):
    return lambda step: jnp.full_like(step, config.learning_rate, jnp.float32)


def _cosine(config, period, num_epochs, steps_per_epoch):
    return lambda step: _fall(config, jnp.minimum(1.0, step / (period * steps_per_epoch)))


def _cosine_restarts(config, period, num_epochs, steps_per_epoch):
    starts, length = [0], config.restart_epochs
    while starts[-1] + length < max(period, num_epochs):
        starts.append(starts[-1] + length)
        length *= config.restart_factor
    # In whole steps, so that a restart never comes a step late for rounding.
    bounds = np.array([*starts, starts[-1] + length], np.int32) * steps_per_epoch

    def value(step):
        at = jnp.clip(jnp.searchsorted(bounds, step, side="right") - 1, 0, len(starts) - 1)
        start, end = jnp.asarray(bounds)[at], jnp.asarray(bounds)[at + 1]
        return _fall(config, jnp.minimum(1.0, (step - start) / (end - start)))

    return value


def _step(config, period, num_epochs, steps_per_epoch):
    every = config.decay_epochs * steps_per_epoch
    return lambda step: config.learning_rate * jnp.float32(config.decay_factor) ** (step // every)


def _exponential(config, period, num_epochs, steps_per_epoch):
    every = config.decay_epochs * steps_per_epoch
    return lambda step: config.learning_rate * jnp.float32(config.decay_factor) ** (step / every)


def _fall(config, fraction: chex.Array) -> chex.Array:
    """Returns the learning rate when `fraction` of a cosine is done."""
    low, high = config.final_learning_rate, config.learning_rate
    return low + (high - low) * 0.5 * (1.0 + jnp.cos(jnp.pi * fraction))


_VALUES = {
    "constant": _constant,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
    "step": _step,
    "exponential": _exponential,
}
