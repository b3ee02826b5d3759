"""New architectures from the best known ones: gradient ascent, decoding, filtering (NAO, section 3.3)."""

import dataclasses
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from common import history as histories
from common import regression_targets as targets
from common import rows, unseen
from nao_jax import ascent, front, learning


@chex.dataclass(frozen=True)
class Tally:
    """Counts of the architectures of one round. `decoded` is the sum of the next four."""

    decoded: chex.Array  # float32[], outputs of the decoder
    invalid: chex.Array  # float32[], of these, invalid in the space: legal tokens that make no network
    known: chex.Array  # float32[], in the history
    repeated: chex.Array  # float32[], decoded before in the same round
    new: chex.Array  # float32[], all others
    filled: chex.Array  # float32[], random proposals, requested or in place of missing new ones


class Proposals(NamedTuple):
    """Proposals of a round."""

    archs: chex.Array  # int32[count, L]
    is_decoded: chex.Array  # bool[count], False for random ones
    prediction: chex.Array  # float32[count], mean prediction of the networks, in the unit of the target
    base: chex.Array  # float32[], the same for the best measured architecture; NaN if nothing is measured
    tally: Tally  # counts of the decoded architectures


def propose(
    setting: learning.Setting,
    networks: learning.Networks,
    key: chex.PRNGKey,
    known: unseen.Known,
    others: chex.Array,
    *,
    count: int,
    rating: front.Rating | None = None,
) -> Proposals:
    """Returns `count` new architectures, by gradient ascent from the best ones.

    Args:
      others: int32[U, L], unlabelled architectures, further starting points.
      rating: of architectures, for several objectives; `known.history` then has dominance in place of fitness.
    """

    def rate(archs):
        if rating is None:
            return mean_prediction(setting, networks, archs)
        return front.rate(rating, front.predict(setting, networks, rating.goal, archs))

    config = setting.config
    starts, is_start = _starts(setting, rate, known, others)
    filler = known.history.archs[0]
    decoded, is_from, is_valid, prediction = _climb(setting, networks, rate, starts, is_start, filler=filler)
    archs, is_output = decoded, is_from
    if rating is not None:  # all unlabelled ones are candidates: the best rated improve one part of the front
        key, near_key = jax.random.split(key)
        near = setting._replace(config=dataclasses.replace(config, num_mutated=config.num_unlabelled))
        starts = jnp.concatenate([others, learning.unlabelled(near, near_key, known.pool, known.history)])
        is_start = jnp.ones(starts.shape[:1], bool)
    if config.seeds != "measured":  # unlabelled starting points are candidates too
        archs = jnp.concatenate([starts, archs])
        is_valid = jnp.concatenate([is_start, is_valid])
        is_output = jnp.concatenate([jnp.zeros_like(is_start), is_output])
        prediction = jnp.concatenate([rate(starts), prediction])
    archs = jnp.where(is_valid[:, None], archs, -1)
    is_known = is_valid & (unseen.find(known, archs) < known.history.status.shape[0])
    is_repeat = is_valid & ~is_known & rows.is_repeat(archs)
    is_new = is_valid & ~is_known & ~is_repeat
    noise_key, fill_key = jax.random.split(key)
    num_best = min(max(count - config.num_random, 0), archs.shape[0])
    if rating is None and config.order == "prediction":
        # Gumbel noise makes the top k a sample without replacement from the softmax of the predictions.
        prediction += config.temperature * jax.random.gumbel(noise_key, prediction.shape)
    else:
        prediction = -jnp.arange(archs.shape[0], dtype=jnp.float32)
    if rating is None:
        best, at = jax.lax.top_k(jnp.where(is_new, prediction, -jnp.inf), num_best)
        is_best = best > -jnp.inf
    else:
        means = front.predict(setting, networks, rating.goal, jnp.where(is_valid[:, None], archs, filler[None]))
        at, is_best = front.select(rating, means, is_new, num_best)
    missing = count - num_best
    taken = jnp.concatenate([archs[at], jnp.full((missing, archs.shape[1]), -1, archs.dtype)])
    is_decoded = jnp.concatenate([is_best, jnp.zeros((missing,), bool)])
    proposed = unseen.complete(fill_key, setting.space, known, taken, is_decoded)

    def number(which):
        return jnp.sum(which & is_output).astype(jnp.float32)

    tally = Tally(
        decoded=number(is_output),
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


def _starts(setting, rate, known, others):
    """Returns the starting points (archs int32[B, L], bool[B] whether each exists)."""
    config, history = setting.config, known.history
    is_measured = histories.is_measured(history)
    archs = jnp.maximum(history.archs, 0)
    if config.seeds != "union":
        measured = jnp.where(is_measured, history.fitness, -jnp.inf)
        starts = [_best(archs, measured, config.num_seeds)]
    if config.seeds != "measured":
        is_known = unseen.find(known, others) < history.status.shape[0]
        predicted = jnp.where(is_known | rows.is_repeat(others), -jnp.inf, rate(others))
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


def _climb(setting, networks, rate, starts, is_start, *, filler):
    """Repeats ascent and decoding `num_climbs` times. Invalid architectures are replaced by the valid row `filler`.

    Returns:
      (archs int32[C, L], bool[C] whether each was decoded from a start, bool[C] whether it is valid, and then
      canonical, predictions float32[C], 0 if they are not needed).
    """
    config, space = setting.config, setting.space
    legal = jnp.asarray(space.legal_tokens)

    def one(carry, _):
        starts, is_start = carry
        latent = learning.encode(setting, networks, starts)
        tokens = jax.vmap(lambda params, latent: ascent.climb(setting.model, params, latent, legal, config=config))(
            networks.params, latent
        )
        tokens = tokens.swapaxes(0, 1)  # [K, M, B, W, T], in increasing order of step size
        is_from = jnp.broadcast_to(is_start[None, None, :, None], tokens.shape[:-1]).reshape(-1)
        archs = space.from_tokens(tokens.reshape(-1, tokens.shape[-1]))
        is_valid = space.is_valid(archs) & is_from
        archs = space.canonicalize(jnp.where(is_valid[:, None], archs, filler[None]))
        if config.order == "step_size" and config.num_climbs == 1:
            return carry, (archs, is_from, is_valid, jnp.zeros(archs.shape[:1]))
        prediction = rate(archs)
        is_repeat = rows.is_repeat(jnp.concatenate([starts, jnp.where(is_valid[:, None], archs, -1)]))
        is_next = is_valid & ~is_repeat[starts.shape[0] :]
        starts, is_start = _best(archs, jnp.where(is_next, prediction, -jnp.inf), starts.shape[0])
        return (jnp.where(is_start[:, None], starts, filler[None]), is_start), (archs, is_from, is_valid, prediction)

    _, parts = jax.lax.scan(one, (starts, is_start), length=config.num_climbs)
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:]), parts)
