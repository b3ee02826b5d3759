"""Index of evaluated architectures; sampling of unseen ones.

A search evaluates no architecture twice, so every searcher looks rows up in the history and samples rows that are not
in it. If the space can be listed (its rows are the pool), an index from pool to history is kept as state: a look-up is
a binary search in the pool, whatever the length of the history, and sampling is exactly uniform over the unseen pool.
Otherwise rows are compared with those of the history, and sampling is repeated for rows that it contains.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from common import history as history_lib
from common import rows, types

MAX_POOL_SIZE = 1_000_000
_MAX_POOL_DRAWS = 16  # then the whole unseen pool is ranked, in O(P)
_MAX_SAMPLE_DRAWS = 1000


@chex.dataclass(frozen=True)
class Index:
    """Index from pool to history, a part of the searcher's state.

    Attributes:
      places: int32[P], position in the history of each row of the pool; N if it is not in the history.
      num_indexed: int32[], number of rows of the history that are indexed.
    """

    places: chex.Array
    num_indexed: chex.Array


@chex.dataclass(frozen=True)
class Known:
    """An indexed history, for the duration of one `propose`.

    Attributes:
      pool: int32[P, L] from `pool_of`.
      index: index of all of the history.
      history: the history.
    """

    pool: chex.Array
    index: Index
    history: history_lib.History


def pool_of(space: types.SearchSpace) -> chex.Array:
    """Returns int32[P, L], all rows of the space in lexicographic order; P = 0 if it is too large to list."""
    if space.enumerate is None or space.size > MAX_POOL_SIZE:
        return jnp.zeros((0, len(space.num_choices)), jnp.int32)
    return jnp.asarray(space.enumerate(), jnp.int32)


def empty_index(pool: chex.Array, history: history_lib.History) -> Index:
    """Returns an empty index for histories of the same capacity; `know` fills it."""
    return Index(
        places=jnp.full(pool.shape[:1], history.status.shape[0], jnp.int32), num_indexed=jnp.zeros((), jnp.int32)
    )


def know(pool: chex.Array, index: Index, history: history_lib.History, *, count: int) -> Known:
    """Returns the history with its index, updated with the new rows.

    Args:
      pool: int32[P, L] from `pool_of`.
      index: the index after the last round.
      history: the history, to which any number of rows was appended since.
      count: expected number of new rows; affects speed only.
    """

    def look(index):
        at = index.num_indexed + jnp.arange(count)
        new = history.archs.at[at].get(mode="fill", fill_value=-1)
        new = jnp.where((at < history.size)[:, None], new, -1)
        places = index.places.at[rows.find(pool, new)].set(at, mode="drop") if pool.shape[0] else index.places
        return Index(places=places, num_indexed=jnp.minimum(index.num_indexed + count, history.size))

    # The first step is outside the loop: under `vmap` each iteration of a loop copies its carry.
    index = jax.lax.while_loop(lambda index: index.num_indexed < history.size, look, look(index))
    return Known(pool=pool, index=index, history=history)


def find(known: Known, archs: chex.Array) -> chex.Array:
    """Returns int32[B], the position in the history of each of int32[B, L] `archs`; N if it is not in the history."""
    capacity = known.history.status.shape[0]
    if known.pool.shape[0]:
        return known.index.places.at[rows.find(known.pool, archs)].get(mode="fill", fill_value=capacity)
    is_same = jnp.all(archs[:, None, :] == known.history.archs[None, :, :], axis=-1)
    return jnp.where(jnp.any(is_same, axis=1), jnp.argmax(is_same, axis=1), capacity).astype(jnp.int32)


def empty_batch(known: Known, count: int) -> tuple[chex.Array, chex.Array]:
    """Returns int32[count, L] and bool[count], a batch of which no row is filled."""
    return jnp.zeros((count, known.history.archs.shape[1]), jnp.int32), jnp.zeros((count,), bool)


def fill(
    key: chex.PRNGKey,
    known: Known,
    archs: chex.Array,
    is_filled: chex.Array,
    *,
    draw: Callable[[chex.PRNGKey], chex.Array],
    max_draws: chex.Array | int,
) -> tuple[chex.Array, chex.Array]:
    """Fills the free rows of a batch with unseen, distinct rows by rejection sampling.

    Args:
      archs: int32[B, L], the batch.
      is_filled: bool[B], the rows to keep, which are unseen and distinct.
      draw: key -> int32[B, L], samples of valid canonical rows.
      max_draws: int32[], maximum number of calls of `draw`.

    Returns:
      The batch int32[B, L], and bool[B], which of its rows are filled. The others are of the last sample.
    """
    batch, capacity = archs.shape[0], known.history.status.shape[0]

    def is_needed(carry):
        _, _, is_filled, num_draws = carry
        return ~jnp.all(is_filled) & (num_draws < max_draws)

    def again(carry):
        key, archs, is_filled, num_draws = carry
        key, subkey = jax.random.split(key)
        drawn = draw(subkey)
        kept = jnp.where(is_filled[:, None], archs, -1)
        is_repeat = rows.is_repeat(jnp.concatenate([kept, drawn]))[batch:]
        is_new = ~is_repeat & (find(known, drawn) == capacity)
        return key, jnp.where(is_filled[:, None], archs, drawn), is_filled | is_new, num_draws + 1

    carry = (key, archs, is_filled, jnp.zeros((), jnp.int32))
    _, archs, is_filled, _ = jax.lax.while_loop(is_needed, again, carry)
    return archs, is_filled


def complete(
    key: chex.PRNGKey, space: types.SearchSpace, known: Known, archs: chex.Array, is_filled: chex.Array
) -> chex.Array:
    """Returns a batch int32[B, L], its free rows filled with random unseen ones.

    With a pool, samples are uniform without replacement over its rows that are neither in the history nor in the batch.
    Otherwise rows come from `space.sample`, repeated up to 1,000 times. Seen rows are returned only if no unseen row is
    left (or found).

    Args:
      archs: int32[B, L], the batch.
      is_filled: bool[B], the rows to keep, which are unseen and distinct.

    Raises:
      ValueError: the space has fewer than B architectures.
    """
    batch, num_rows = archs.shape[0], known.pool.shape[0]
    if batch > space.size:
        raise ValueError(f"count must be at most {space.size} architectures of {space.name}; got {batch}")
    if not num_rows:

        def sample(key):
            return space.sample(key, batch)

        return fill(key, known, archs, is_filled, draw=sample, max_draws=_MAX_SAMPLE_DRAWS)[0]

    def draw(key):
        return known.pool[jax.random.randint(key, (batch,), 0, num_rows)]

    key, last_key = jax.random.split(key)
    archs, is_filled = fill(key, known, archs, is_filled, draw=draw, max_draws=_MAX_POOL_DRAWS)
    return _complete_from_pool(last_key, known, archs, is_filled)


def _complete_from_pool(key, known, archs, is_filled):
    """Ranks the unseen pool at random and takes the first rows.

    A loop of at most one iteration, because `cond` under `vmap` runs both branches. It carries the key: the compiler
    would move loop-invariant code out of the loop and always run it.
    """
    batch, num_rows = archs.shape[0], known.pool.shape[0]

    def take(carry):
        key, archs, is_filled = carry
        key, subkey = jax.random.split(key)
        at_kept = rows.find(known.pool, jnp.where(is_filled[:, None], archs, -1))
        is_free = (known.index.places == known.history.status.shape[0]).at[at_kept].set(False, mode="drop")
        scores = jnp.where(is_free, jax.random.uniform(subkey, (num_rows,)), -1.0)
        _, best = jax.lax.top_k(scores, batch)
        rank = jnp.cumsum(~is_filled) - 1
        taken = known.pool[best[jnp.maximum(rank, 0)]]
        return key, jnp.where(is_filled[:, None], archs, taken), jnp.ones_like(is_filled)

    return jax.lax.while_loop(lambda carry: ~jnp.all(carry[2]), take, (key, archs, is_filled))[1]
