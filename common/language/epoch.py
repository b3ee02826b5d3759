"""The end of an epoch of training a language model: averaging begins in time, and what diverged goes back."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from common.language import config as configs
from common.language import step as steps


class Epoch(NamedTuple):
    """What an epoch came to. Losses are means in nats a word.

    Attributes:
      epoch: epochs done.
      train_loss: of the words of this epoch, with dropout.
      valid_loss: of the parameters to evaluate.
      num_words: read in this epoch.
      is_averaging: whether steps are averaged from now on.
      num_rollbacks: how often training went back so far.
      seconds: it took, validation included; of an epoch that was interrupted, those since.
      words_per_second: read in this time.
    """

    epoch: int
    train_loss: float
    valid_loss: float
    num_words: int
    is_averaging: bool
    num_rollbacks: int
    seconds: float
    words_per_second: float


class DivergedError(ValueError):
    """The loss is not a number, and going back is no more help."""


def finish(
    config: configs.Config, state: steps.State, loss: float, seconds: float, num_before: int
) -> tuple[steps.State, Epoch]:
    """Returns (the state before the next epoch, what this one came to).

    Args:
      config: of the training.
      state: after the last piece.
      loss: of the validation text.
      seconds: that the epoch took, or its rest.
      num_before: words of it that were read before these seconds.
    """
    epoch = int(state.epoch)
    is_averaging = bool(state.is_averaging) or begins_averaging(
        loss, np.asarray(state.valid_losses)[:epoch], config.optimizer.patience
    )
    told = Epoch(
        epoch=epoch + 1,
        train_loss=float(state.loss) / int(state.num_words),
        valid_loss=loss,
        num_words=int(state.num_words),
        is_averaging=is_averaging,
        num_rollbacks=int(state.num_rollbacks),
        seconds=seconds,
        words_per_second=(int(state.num_words) - num_before) / seconds,
    )
    state = state.replace(
        epoch=jnp.int32(epoch + 1),
        at=jnp.int32(0),
        hidden=jnp.zeros_like(state.hidden),
        is_averaging=jnp.bool_(is_averaging),
        valid_losses=state.valid_losses.at[epoch].set(loss),
        loss=jnp.float32(0.0),
        num_words=jnp.int32(0),
    )
    return state, told


def begins_averaging(loss: float, earlier: np.ndarray, patience: int) -> bool:
    """Returns whether a validation loss is above the least of all `earlier` ones but the last `patience`."""
    return bool(patience and len(earlier) > patience and loss > np.min(earlier[:-patience]))


def go_back(config: configs.Config, state: steps.State, best: steps.State | None) -> steps.State:
    """Returns the best state, to go on from with the randomness of the steps to come.

    Args:
      config: of the training.
      state: in which the loss is no number.
      best: the state with the least validation loss, if there is one yet.

    Raises:
      DivergedError: there is none, or it went back too often.
    """
    advice = "try a smaller learning_rate or clip_norm"
    if best is None:
        raise DivergedError(f"training diverged in its first epoch, in {int(state.step)} steps; {advice}")
    num = int(state.num_rollbacks) + 1
    if num > config.max_rollbacks:
        raise DivergedError(f"training diverged more than max_rollbacks = {config.max_rollbacks} times; {advice}")
    logging.warning("The loss is no number in epoch %d; going back to that of epoch %d", state.epoch + 1, best.epoch)
    return jax.tree.map(jnp.copy, best).replace(step=state.step, num_rollbacks=jnp.int32(num))
