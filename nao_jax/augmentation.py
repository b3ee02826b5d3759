"""Augmentation by equivalent token sequences of an architecture (NAO, section 4 of its supplement).

A space declares the permutations of its tokens that leave the network unchanged, such as the swap of a node's
two branches. A permuted sequence is input of the encoder and target of the decoder, and keeps its fitness.
"""

import chex
import jax
import jax.numpy as jnp


def swap(key: chex.PRNGKey, tokens: chex.Array, symmetries: tuple[chex.Array, ...]) -> chex.Array:
    """Applies one random permutation of each group to int32[T], as NAO does: one node of each cell is swapped.

    Args:
      tokens: int32[T], one architecture.
      symmetries: int32[K, T] of each group, see `types.SearchSpace`.
    """
    for group, permutations in enumerate(symmetries):
        at = jax.random.randint(jax.random.fold_in(key, group), (), 0, permutations.shape[0])
        tokens = tokens[jnp.asarray(permutations)[at]]
    return tokens


def orbit(key: chex.PRNGKey, tokens: chex.Array, symmetries: tuple[chex.Array, ...]) -> chex.Array:
    """Applies each permutation of each group with probability 1/2; arguments and result as in `swap`.

    If the permutations of a group commute and are their own inverse, as swaps of branches, every encoding of the
    network is equally likely.
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
    """Augments a minibatch.

    Args:
      key: a key of the minibatch.
      expand_key: a key of the fit: with "expand", a copy is permuted alike in every epoch.
      tokens: int32[B, T].
      places: int32[B], positions in the data set with all copies.
      is_copy: bool[B], whether each is a copy beyond the first.
      augmentation: "none": unchanged; "swap": `swap` at every fetch; "expand": the first copy of each
        architecture is unchanged, and each other copy swapped once (both NAO's); "orbit": `orbit` at every fetch.
    """
    if augmentation == "none" or not symmetries:
        return tokens
    if augmentation == "expand":
        keys = jax.vmap(lambda place: jax.random.fold_in(expand_key, place))(places)
        swapped = jax.vmap(lambda key, row: swap(key, row, symmetries))(keys, tokens)
        return jnp.where(is_copy[:, None], swapped, tokens)
    permute = swap if augmentation == "swap" else orbit
    keys = jax.random.split(key, tokens.shape[0])
    return jax.vmap(lambda key, row: permute(key, row, symmetries))(keys, tokens)
