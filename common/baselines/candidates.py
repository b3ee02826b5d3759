"""Candidates of baselines that a model guides: mutations of the best architectures, random ones; the best of them."""

import chex
import jax
import jax.numpy as jnp

from common import history as history_lib
from common import types, unseen


def mutations(
    key: chex.PRNGKey, space: types.SearchSpace, history: history_lib.History, *, num_parents: int, count: int
) -> chex.Array:
    """Returns int32[count, L], mutations of the best `num_parents` measured rows, each as often; seen rows included."""
    fitness = jnp.where(history_lib.is_measured(history), history.fitness, -jnp.inf)
    best = jax.lax.top_k(fitness, min(num_parents, fitness.shape[0]))[1]
    num_best = jnp.clip(jnp.sum(history_lib.is_measured(history)), 1, best.shape[0])
    return space.mutate(key, jnp.maximum(history.archs[best[jnp.arange(count) % num_best]], 0))


def random(key: chex.PRNGKey, space: types.SearchSpace, known: unseen.Known, *, count: int) -> chex.Array:
    """Returns int32[count, L], uniform rows of the pool, or samples of a space that cannot be listed."""
    if not known.pool.shape[0]:
        return space.sample(key, count)
    return known.pool[jax.random.randint(key, (count,), 0, known.pool.shape[0])]


def best_unseen(
    known: unseen.Known, archs: chex.Array, scores: chex.Array, *, count: int
) -> tuple[chex.Array, chex.Array]:
    """Returns (int32[count, L], bool[count]): distinct unseen rows with the highest scores, and whether there was one.

    Args:
      archs: int32[C, L], candidates, repeated and seen ones among them.
      scores: float32[C], equal for equal rows, or the highest of a row counts; -inf excludes a row.
    """

    def take(scores, _):
        at = jnp.argmax(scores)
        is_found = scores[at] > -jnp.inf
        is_same = jnp.all(archs == archs[at][None], axis=1)
        return jnp.where(is_same, -jnp.inf, scores), (archs[at], is_found)

    scores = jnp.where(unseen.find(known, archs) == known.history.status.shape[0], scores, -jnp.inf)
    return jax.lax.scan(take, scores, length=count)[1]
