"""Learning rate schedules and the drop-path ramp, as functions of the step."""

import jax.numpy as jnp
import numpy as np
import optax

from common.training import config as configs


def learning_rate(config: configs.Schedule, *, num_epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Returns step int32[] -> learning rate float32[].

    `cosine` and `cosine_restarts` are those of Loshchilov and Hutter (arXiv:1608.03983). A warm-up scales the schedule
    by (n + 1) / N in the n-th of N epochs or steps. Unlike Optax's schedules, time can advance once per epoch.
    """
    unit = steps_per_epoch if config.schedule_unit == "epoch" else 1

    def schedule(step):
        step = jnp.asarray(step, jnp.int32)
        step -= step % unit
        value = _value(config, step, num_epochs=num_epochs, steps_per_epoch=steps_per_epoch)
        if config.warmup_epochs:
            value *= jnp.minimum(1.0, (step + unit) / (config.warmup_epochs * steps_per_epoch))
        return value.astype(jnp.float32)

    return schedule


def progress(config: configs.Config, *, steps_per_epoch: int) -> optax.Schedule:
    """Returns the drop-path ramp, step int32[] -> float32[]: the fraction of training done, at most 1."""
    unit = steps_per_epoch if config.progress_unit == "epoch" else 1
    num_steps = (config.progress_epochs or config.num_epochs) * steps_per_epoch

    def fraction(step):
        step = jnp.asarray(step, jnp.int32)
        if config.progress_restarts:
            step %= num_steps
        return jnp.minimum(1.0, (step - step % unit) / num_steps).astype(jnp.float32)

    return fraction


def _value(config, step, *, num_epochs, steps_per_epoch):
    """Returns the learning rate without the warm-up."""
    period = config.period_epochs or num_epochs
    decays = config.decay_epochs * steps_per_epoch
    match config.schedule:
        case "constant":
            return jnp.full_like(step, config.learning_rate, jnp.float32)
        case "step":
            return config.learning_rate * jnp.float32(config.decay_factor) ** (step // decays)
        case "exponential":
            return config.learning_rate * jnp.float32(config.decay_factor) ** (step / decays)
        case "cosine":
            start, end = 0, period * steps_per_epoch
        case "cosine_restarts":
            bounds = _restarts(config, max(period, num_epochs)) * steps_per_epoch
            at = jnp.clip(jnp.searchsorted(bounds, step, side="right") - 1, 0, len(bounds) - 2)
            start, end = jnp.asarray(bounds)[at], jnp.asarray(bounds)[at + 1]
    low, high = config.final_learning_rate, config.learning_rate
    fraction = jnp.minimum(1.0, (step - start) / (end - start))
    return low + (high - low) * 0.5 * (1.0 + jnp.cos(jnp.pi * fraction))


def _restarts(config, num_epochs):
    """Returns the epochs at which cosines start, and the end of the last one."""
    bounds, length = [0, config.restart_epochs], config.restart_epochs
    while bounds[-1] < num_epochs:
        length *= config.restart_factor
        bounds.append(bounds[-1] + length)
    return np.array(bounds, np.int32)
