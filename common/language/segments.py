"""The pieces of text that the steps of an epoch read, of many lengths, without a program for each.

Lengths follow from (key, epoch), so what a step reads is known before anything is computed, and a run can go on
from any step. A program works on pieces of a few sizes, to which others are filled up with words that count
nothing; the sizes are chosen so that little is computed in vain.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.language import config as configs


class Pieces(NamedTuple):
    """The pieces of an epoch.

    Attributes:
      starts: int32[P], the row of its first word.
      lengths: int32[P], how many words it reads; the targets are one row on.
    """

    starts: np.ndarray
    lengths: np.ndarray


def cut(key: chex.PRNGKey, epoch: int, num_rows: int, config: configs.Chunks) -> Pieces:
    """Returns the pieces of an epoch over a text of `num_rows` rows, of which the last is a target only.

    The mean is bptt, or for a share of pieces half of it; lengths are normal around it, rounded towards zero and
    kept between bptt_min and bptt_max. The last piece is what is left, and may be shorter.

    Args:
      key: random key of the run's pieces.
      epoch: counted from 0.
      num_rows: N.
      config: how lengths are drawn.
    """
    most = -(-(num_rows - 1) // config.bptt_min)
    kind_key, noise_key = jax.random.split(jax.random.fold_in(key, epoch))
    is_short = np.asarray(jax.random.uniform(kind_key, (most,))) < config.short_share
    noise = np.asarray(jax.random.normal(noise_key, (most,)))
    mean = np.where(is_short, config.bptt / 2, config.bptt)
    lengths = (mean + config.bptt_deviation * noise).astype(np.int32)
    lengths = np.clip(lengths, config.bptt_min, config.bptt_max)
    starts = np.cumsum(lengths) - lengths
    starts = starts[starts < num_rows - 1].astype(np.int32)
    ends = np.append(starts[1:], num_rows - 1)
    return Pieces(starts=starts, lengths=(ends - starts).astype(np.int32))


def sizes(config: configs.Chunks) -> tuple[int, ...]:
    """Returns the sizes to which pieces are filled up, rising: bptt, a standard deviation more, and the most.

    With the published lengths, 35, 40 and 55, which makes 16% more words than are read; bptt_max alone, 61%.
    """
    if not config.bptt_deviation:
        return (config.bptt,)
    return tuple(
        sorted({config.bptt, min(config.bptt_max, round(config.bptt + config.bptt_deviation)), config.bptt_max})
    )


def padded(tokens: np.ndarray, config: configs.Chunks) -> chex.Array:
    """Returns int32[N + more, B]: tokens int32[N, B] with room for a piece that begins at the last row."""
    return jnp.pad(jnp.asarray(tokens), ((0, sizes(config)[-1]), (0, 0)))
