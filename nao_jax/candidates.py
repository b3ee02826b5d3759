"""From the best architectures known to new ones: climb, decode, keep what is valid and new (NAO, section 3.3)."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from common import history as histories
from common import regression_targets as targets
from common import rows
from common import unseen as fresh
from nao_jax import ascent, learning


@chex.dataclass(frozen=True)
class Tally:
    """What became of the architectures of one round. The first is the sum of the next four.

    Attributes:
      decoded: float32[], written by the decoder.
      invalid: float32[], of these, not valid in the space: legal tokens that make no network.
      known: float32[], in the history already.
      repeated: float32[], written before in the same round.
      new: float32[], none of these.
      filled: float32[], proposals drawn at random, asked for or in want of new ones.
    """

    decoded: chex.Array
    invalid: chex.Array
    known: chex.Array
    repeated: chex.Array
    new: chex.Array
    filled: chex.Array


class Proposals(NamedTuple):
    """What a round proposes.

    Attributes:
      archs: int32[count, L].
      is_decoded: bool[count], False for those drawn at random.
      prediction: float32[count], mean over the networks, in the unit of the target.
      base: float32[], likewise for the best architecture measured; NaN if there is none.
      tally: what became of the rest.
    """

    archs: chex.Array
    is_decoded: chex.Array
    prediction: chex.Array
    base: chex.Array
    tally: Tally


def propose(
    setting: learning.Setting,
    networks: learning.Networks,
    key: chex.PRNGKey,
    known: fresh.Known,
    others: chex.Array,
    *,
    count: int,
) -> Proposals:
    """Climbs from the best and returns `count` new architectures.

    Args:
      setting: the static part.
      networks: fitted.
      key: for what is drawn at random.
      known: the history.
      others: int32[U, L], unlabelled architectures to climb from besides.
      count: architectures to propose.
    """
    config = setting.config
    starts, is_start = _starts(setting, networks, known, others)
    decoded, is_from, is_valid, prediction = _climb(setting, networks, starts, is_start, filler=known.history.archs[0])
    archs, is_written = decoded, is_from
    if config.seeds != "measured":  # unlabelled starting points are proposals as good as others
        archs = jnp.concatenate([starts, archs])
        is_valid = jnp.concatenate([is_start, is_valid])
        is_written = jnp.concatenate([jnp.zeros_like(is_start), is_written])
        prediction = jnp.concatenate([mean_prediction(setting, networks, starts), prediction])
    archs = jnp.where(is_valid[:, None], archs, -1)
    is_known = is_valid & (fresh.find(known, archs) < known.history.status.shape[0])
    is_repeat = is_valid & ~is_known & rows.is_repeat(archs)
    is_new = is_valid & ~is_known & ~is_repeat
    noise_key, fill_key = jax.random.split(key)
    if config.order == "prediction":
        # The largest of predictions with such noise are draws without replacement from their softmax.
        prediction += config.temperature * jax.random.gumbel(noise_key, prediction.shape)
    else:
        prediction = -jnp.arange(archs.shape[0], dtype=jnp.float32)
    best, at = jax.lax.top_k(
        jnp.where(is_new, prediction, -jnp.inf), min(max(count - config.num_random, 0), archs.shape[0])
    )
    missing = count - best.shape[0]
    taken = jnp.concatenate([archs[at], jnp.full((missing, archs.shape[1]), -1, archs.dtype)])
    is_decoded = jnp.concatenate([best > -jnp.inf, jnp.zeros((missing,), bool)])
    proposed = fresh.complete(fill_key, setting.space, known, taken, is_decoded)

    def number(which):
        return jnp.sum(which & is_written).astype(jnp.float32)

    tally = Tally(
        decoded=number(is_written),
        invalid=number(~is_valid),
        known=number(is_known),
        repeated=number(is_repeat),
        new=number(is_new),
        filled=jnp.sum(~is_decoded).astype(jnp.float32),
    )
    at, fitness = histories.best(known.history)
    best_arch = jax.lax.dynamic_slice_in_dim(known.history.archs, at, 1)
    predicted = mean_prediction(setting, networks, jnp.concatenate([proposed, best_arch]))
    return Proposals(
        archs=proposed,
        is_decoded=is_decoded,
        prediction=predicted[:count],
        base=jnp.where(jnp.isfinite(fitness), predicted[count], jnp.nan),
        tally=tally,
    )


def mean_prediction(setting: learning.Setting, networks: learning.Networks, archs: chex.Array) -> chex.Array:
    """Returns float32[B], the mean of the networks' predictions for valid `archs` int32[B, L]."""
    return jnp.mean(learning.predict(setting, networks, archs), axis=0)


def _starts(setting, networks, known, others):
    """Returns where climbs start: (archs int32[B, L], bool[B] whether there is one)."""
    config, history = setting.config, known.history
    is_measured = histories.is_measured(history)
    archs = jnp.maximum(history.archs, 0)
    if config.seeds != "union":
        measured = jnp.where(is_measured, history.fitness, -jnp.inf)
        starts = [_best(archs, measured, config.num_seeds)]
    if config.seeds != "measured":
        is_known = fresh.find(known, others) < history.status.shape[0]
        predicted = jnp.where(is_known | rows.is_repeat(others), -jnp.inf, mean_prediction(setting, networks, others))
    if config.seeds == "both":
        starts.append(_best(others, predicted, config.num_seeds))
    if config.seeds == "union":
        values = targets.targets(history.fitness, is_measured, target=config.target)
        values = jnp.concatenate([jnp.where(is_measured, values, -jnp.inf), predicted])
        starts = [_best(jnp.concatenate([archs, others]), values, config.num_seeds)]
    archs, is_start = (jnp.concatenate(parts) for parts in zip(*starts, strict=True))
    return jnp.where(is_start[:, None], archs, history.archs[:1]), is_start


def _best(archs, scores, count):
    best, at = jax.lax.top_k(scores, min(count, archs.shape[0]))
    return archs[at], best > -jnp.inf


def _climb(setting, networks, starts, is_start, *, filler):
    """Climbs and decodes, `num_climbs` times on end.

    Where there is no valid architecture, the valid row `filler` stands: what follows is defined for valid ones.

    Returns:
      (archs int32[C, L], bool[C] whether it was decoded from a start, bool[C] whether it is valid and then
      canonical, predictions float32[C], 0 where nobody asks).
    """
    config, space = setting.config, setting.space
    legal = jnp.asarray(space.legal_tokens)

    def one(carry, _):
        starts, is_start = carry
        latent = learning.encode(setting, networks, starts)
        tokens = jax.vmap(lambda params, latent: ascent.climb(setting.model, params, latent, legal, config=config))(
            networks.params, latent
        )
        tokens = tokens.swapaxes(0, 1)  # [K, M, B, W, T]: the smallest step size first
        is_from = jnp.broadcast_to(is_start[None, None, :, None], tokens.shape[:-1]).reshape(-1)
        archs = space.from_tokens(tokens.reshape(-1, tokens.shape[-1]))
        is_valid = space.is_valid(archs) & is_from
        archs = space.canonicalize(jnp.where(is_valid[:, None], archs, filler[None]))
        if config.order == "step_size" and config.num_climbs == 1:
            return carry, (archs, is_from, is_valid, jnp.zeros(archs.shape[:1]))
        prediction = mean_prediction(setting, networks, archs)
        is_repeat = rows.is_repeat(jnp.concatenate([starts, jnp.where(is_valid[:, None], archs, -1)]))
        is_next = is_valid & ~is_repeat[starts.shape[0] :]
        starts, is_start = _best(archs, jnp.where(is_next, prediction, -jnp.inf), starts.shape[0])
        return (jnp.where(is_start[:, None], starts, filler[None]), is_start), (archs, is_from, is_valid, prediction)

    _, parts = jax.lax.scan(one, (starts, is_start), length=config.num_climbs)
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:]), parts)
