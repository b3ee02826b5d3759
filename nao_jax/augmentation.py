"""Other writings of the same architecture (NAO, section 4 of its supplement).

A space declares which permutations of its tokens leave the network unchanged, such as the swap of a node's
two branches. A swapped sequence is read by the encoder and written by the decoder, and keeps its target.
"""

import chex
import jax
import jax.numpy as jnp


def swap(key: chex.PRNGKey, tokens: chex.Array, symmetries: tuple[chex.Array, ...]) -> chex.Array:
    """Applies one permutation of each group, drawn uniformly, as NAO does: one node of each cell is swapped.

    Args:
      key: a key.
      tokens: int32[T], one architecture.
      symmetries: int32[K, T] of each group, see `types.SearchSpace`.

    Returns:
      int32[T].
    """
    for group, permutations in enumerate(symmetries):
        at = jax.random.randint(jax.random.fold_in(key, group), (), 0, permutations.shape[0])
        tokens = tokens[jnp.asarray(permutations)[at]]
    return tokens


def orbit(key: chex.PRNGKey, tokens: chex.Array, symmetries: tuple[chex.Array, ...]) -> chex.Array:
    """Applies each permutation of each group or not, by a fair coin: same arguments and result as `swap`.

    Where the permutations of a group commute and undo themselves, as swaps of branches do, every writing of
    the network is equally likely.
    """
    for group, permutations in enumerate(symmetries):
        coins = jax.random.bernoulli(jax.random.fold_in(key, group), shape=(permutations.shape[0],))
        for permutation, coin in zip(permutations, coins, strict=True):
            tokens = jnp.where(coin, tokens[jnp.asarray(permutation)], tokens)
    return tokens


def augment(
    key: chex.PRNGKey,
    expand_key: chex.PRNGKey,
    tokens: chex.Array,
    places: chex.Array,
    is_copy: chex.Array,
    symmetries: tuple[chex.Array, ...],
    *,
    augmentation: str,
) -> chex.Array:
    """Rewrites a minibatch.

    Args:
      key: of this minibatch.
      expand_key: of this fit: with "expand", a copy is rewritten alike in every epoch.
      tokens: int32[B, T].
      places: int32[B], where each is in the data set with all copies.
      is_copy: bool[B], whether it is a copy beyond the first.
      symmetries: of the space.
      augmentation: "swap": every sample is swapped at every fetch; "expand": the
        first copy of each architecture stays as it is and the others are swapped once (both NAO's); "orbit":
        any writing at every fetch.
    """
    if augmentation == "none" or not symmetries:
        return tokens
    if augmentation == "expand":
        keys = jax.vmap(lambda place: jax.random.fold_in(expand_key, place))(places)
        swapped = jax.vmap(lambda key, row: swap(key, row, symmetries))(keys, tokens)
        return jnp.where(is_copy[:, None], swapped, tokens)
    rewrite = swap if augmentation == "swap" else orbit
    keys = jax.random.split(key, tokens.shape[0])
    return jax.vmap(lambda key, row: rewrite(key, row, symmetries))(keys, tokens)
