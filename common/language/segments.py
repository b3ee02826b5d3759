"""Variable-length BPTT segments, padded to a few compiled lengths.

Lengths are a function of (key, epoch), so training resumes from any step.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.datasets import text
from common.language import config as configs


class Text(NamedTuple):
    """A text on the device."""

    tokens: chex.Array  # int32[N + padding, B], with room for a segment of the largest size at the last row
    num_rows: int  # N


class Segments(NamedTuple):
    """Segments of an epoch."""

    starts: np.ndarray  # int32[S], row of the first word
    lengths: np.ndarray  # int32[S], number of words read; the targets are the words one row later


def prepare(tokens: np.ndarray, batch_size: int, config: configs.Chunks) -> Text:
    """Returns a split of a corpus, int32[words], as `batch_size` sequences on the device.

    Raises:
      ValueError: it is too short for so many sequences.
    """
    rows = text.batchify(tokens, batch_size)
    return Text(jnp.pad(jnp.asarray(rows), ((0, sizes(config)[-1]), (0, 0))), len(rows))


def cut(key: chex.PRNGKey, epoch: int, num_rows: int, config: configs.Chunks) -> Segments:
    """Returns the segments of an epoch over a text of `num_rows` rows, the last of which is a target only.

    The mean length is bptt, or bptt / 2 for a fraction of segments; lengths are normal around it, truncated to
    integers and clipped to [bptt_min, bptt_max]. The last segment is the rest and may be shorter.
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
    return Segments(starts=starts, lengths=(ends - starts).astype(np.int32))


def sizes(config: configs.Chunks) -> tuple[int, ...]:
    """Returns the compiled lengths, ascending: bptt, one standard deviation more, and the maximum.

    With the published settings 35, 40 and 55, whose padding adds 16% to the words read; bptt_max alone adds 61%.
    """
    if not config.bptt_deviation:
        return (config.bptt,)
    return tuple(
        sorted({config.bptt, min(config.bptt_max, round(config.bptt + config.bptt_deviation)), config.bptt_max})
    )
