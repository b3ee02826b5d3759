"""Factories of search spaces; functions that are not given follow from the numbers of choices."""

import functools
import math
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, types
from common import rows as row_sets

_MAX_LISTED = 10_000_000  # larger products are not listed
_CHUNK = 1 << 16  # rows checked at a time
_OfRows = Callable[[chex.Array], chex.Array]


def search_space(
    name: str,
    num_choices: tuple[int, ...],
    *,
    size: int,
    describe: Callable[[np.ndarray], str],
    is_valid: _OfRows | None = None,
    canonicalize: _OfRows | None = None,
    features: _OfRows | None = None,
    tokens: _OfRows | None = None,
    from_tokens: _OfRows | None = None,
    legal_tokens: np.ndarray | None = None,
    symmetries: tuple[np.ndarray, ...] = (),
    neighbors: Callable[[chex.Array], tuple[chex.Array, chex.Array]] | None = None,
    enumerate_rows: Callable[[], np.ndarray] | None = None,
) -> types.SearchSpace:
    """Returns a space, with defaults for everything but the numbers of choices, the size and the description.

    Args:
      num_choices: options at each of the L decisions.
      size: number of distinct networks.
      is_valid: int32[B, L] -> bool[B]; by default every row with choices in range is valid.
      canonicalize: int32[B, L] -> int32[B, L]; by default every row is its own network.
      features: int32[B, L] -> float32[B, F]; by default one-hot, F = sum(num_choices).
      tokens: int32[B, L] -> int32[B, T], given together with `from_tokens` and `legal_tokens`, see
        `types.SearchSpace`; by default one token a decision, its choice plus one.
      from_tokens: int32[B, T] -> int32[B, L].
      legal_tokens: bool[T, V, V].
      symmetries: int32[K, T] arrays of permutations of token positions, one for each group.
      neighbors: int32[B, L] -> (int32[B, K, L], bool[B, K]), among which `mutate` samples; by default every change of
        one decision.
      enumerate_rows: () -> every canonical valid row, in lexicographic order; by default those of the full product,
        if that has no more than 10 million rows.

    `enumerate` of the space raises a `ValueError` if it lists another number of rows than `size`, or not in order.

    Raises:
      ValueError: if some, but not all, of `tokens`, `from_tokens` and `legal_tokens` are given, or `size` is larger
        than the number of combinations of choices.
    """
    if size > math.prod(num_choices):
        product = math.prod(num_choices)
        raise ValueError(f"space {name!r} has {product} combinations of choices; its size must not be {size}")
    if len({argument is None for argument in (tokens, from_tokens, legal_tokens)}) > 1:
        raise ValueError(f"tokens, from_tokens and legal_tokens of space {name!r} belong together; give all or none")

    def in_range(archs):
        return jnp.all((archs >= 0) & (archs < np.asarray(num_choices)[None]), axis=-1)

    @compilation.one_program
    def valid(archs):
        return in_range(archs) & is_valid(archs) if is_valid else in_range(archs)

    to_canonical = compilation.one_program(canonicalize) if canonicalize else lambda archs: archs
    neighbors = compilation.one_program(neighbors or _neighbors(num_choices, valid, to_canonical))
    if enumerate_rows is None and math.prod(num_choices) <= _MAX_LISTED:
        is_canonical = None
        if canonicalize is not None or is_valid is not None:
            is_canonical = jax.jit(lambda archs: valid(archs) & jnp.all(to_canonical(archs) == archs, axis=1))
        enumerate_rows = functools.partial(_list, num_choices, is_canonical)
    if tokens is None:
        tokens, from_tokens, legal_tokens = _tokens(num_choices)
    return types.SearchSpace(
        name=name,
        num_choices=num_choices,
        size=size,
        is_valid=valid,
        canonicalize=to_canonical,
        features=compilation.one_program(features or (lambda archs: one_hot(archs, num_choices))),
        tokens=compilation.one_program(tokens),
        from_tokens=compilation.one_program(from_tokens),
        legal_tokens=legal_tokens,
        symmetries=symmetries,
        sample=compilation.one_program(_sample(num_choices, valid, to_canonical), static_argnames="count"),
        mutate=compilation.one_program(lambda key, archs: pick(key, *neighbors(archs))),
        neighbors=neighbors,
        enumerate=enumerate_rows and functools.cache(functools.partial(_listed, name, size, enumerate_rows)),
        describe=describe,
    )


def _list(num_choices, is_kept):
    """Returns the rows of a product in lexicographic order, those with `is_kept`."""
    parts, num_rows = [], math.prod(num_choices)
    for start in range(0, num_rows, _CHUNK):
        at = np.minimum(np.arange(start, start + _CHUNK), num_rows - 1)  # of one shape, so that it compiles once
        archs = np.stack(np.unravel_index(at, num_choices), axis=1).astype(np.int32)
        is_row = np.arange(start, start + _CHUNK) < num_rows
        parts.append(archs[is_row if is_kept is None else is_row & np.asarray(is_kept(archs))])
    return np.concatenate(parts)


def _listed(name, size, enumerate_rows):
    archs = enumerate_rows()
    if len(archs) != size:
        raise ValueError(f"space {name!r} lists {len(archs)} rows, but its size is {size}; they must agree")
    row_sets.check_sorted(archs, f"enumerate of space {name!r}")
    return archs


def product(name: str, num_choices: tuple[int, ...], decisions: Sequence[str] = ()) -> types.SearchSpace:
    """Returns the space of all combinations of choices, each a network of its own.

    Args:
      num_choices: options at each of the L decisions.
      decisions: their names, for `describe`; () for none.
    """

    def describe(arch):
        names = [f"{name}=" for name in decisions] or [""] * len(num_choices)
        return " ".join(f"{name}{int(choice)}" for name, choice in zip(names, arch, strict=True))

    return search_space(name, num_choices, size=math.prod(num_choices), describe=describe)


def listed(space: types.SearchSpace, archs: np.ndarray, *, num_nearest: int | None = None) -> types.SearchSpace:
    """Returns the part of a space that is `archs`: distinct canonical rows, two or more, in lexicographic order.

    A row without a neighbour in the list has none, and mutates into any other row.

    Args:
      num_nearest: K, for a list so sparse that most rows would have no neighbour: the neighbours of a row are then the
        K others that differ from it in the fewest decisions, of equally near ones the first.

    Raises:
      ValueError: rows are repeated or not in order, or there are not more than `num_nearest`.
    """
    archs = np.asarray(archs, np.int32)
    row_sets.check_sorted(archs, f"the architectures of {space.name}")
    if num_nearest is not None and not 0 < num_nearest < len(archs):
        raise ValueError(f"num_nearest must be from 1 to {len(archs) - 1}, the other rows; got {num_nearest}")
    nearest = None if num_nearest is None else _nearest(archs, num_nearest)

    def is_valid(rows):
        at = row_sets.find(archs, space.canonicalize(rows))
        return space.is_valid(rows) & (at < len(archs))

    def neighbors(rows):
        if nearest is not None:
            at = row_sets.find(archs, rows)
            around = jnp.asarray(archs)[jnp.asarray(nearest)[jnp.minimum(at, len(archs) - 1)]]
            return around, jnp.broadcast_to((at < len(archs))[:, None], around.shape[:2])
        around, is_new = space.neighbors(rows)
        at = row_sets.find(archs, around.reshape(-1, rows.shape[1]))  # neighbours are canonical
        return around, is_new & (at < len(archs)).reshape(is_new.shape)

    def mutate(key, rows):
        near_key, far_key = jax.random.split(key)
        around, is_new = neighbors(rows)
        steps = jax.random.randint(far_key, rows.shape[:1], 1, len(archs))
        others = jnp.asarray(archs)[(row_sets.find(archs, rows) + steps) % len(archs)]
        return jnp.where(jnp.any(is_new, axis=1)[:, None], pick(near_key, around, is_new), others)

    def sample(key, count):
        return jnp.asarray(archs)[jax.random.randint(key, (count,), 0, len(archs))]

    made = {"is_valid": is_valid, "neighbors": neighbors, "mutate": mutate, "sample": sample}
    return space._replace(size=len(archs), enumerate=lambda: archs, **made)


def _nearest(archs, count):
    """Returns int32[P, count], of each row the places of the others that differ in the fewest decisions."""
    found = []
    for start in range(0, len(archs), 256):
        differing = np.count_nonzero(archs[start : start + 256, None] != archs[None], axis=-1).astype(np.int16)
        own = np.arange(len(differing))
        differing[own, start + own] = archs.shape[1] + 1
        found.append(np.argsort(differing, axis=1, kind="stable")[:, :count])
    return np.concatenate(found).astype(np.int32)


def one_hot(archs: chex.Array, num_choices: tuple[int, ...]) -> chex.Array:
    """Returns float32[B, sum(num_choices)], the one-hot code of each decision, side by side."""
    columns = [jax.nn.one_hot(archs[:, i], n, dtype=jnp.float32) for i, n in enumerate(num_choices)]
    return jnp.concatenate(columns, axis=-1)


def _sample(num_choices, is_valid, canonicalize):
    """Uniform decisions, by rejection sampling."""
    high = np.asarray(num_choices)[None]

    def draw(key, count):
        return jax.random.randint(key, (count, len(num_choices)), 0, high)

    def sample(key, count):
        def redraw(carry):
            key, archs = carry
            key, subkey = jax.random.split(key)
            return key, jnp.where(is_valid(archs)[:, None], archs, draw(subkey, count))

        key, subkey = jax.random.split(key)
        carry = (key, draw(subkey, count))
        _, archs = jax.lax.while_loop(lambda carry: ~jnp.all(is_valid(carry[1])), redraw, carry)
        return canonicalize(archs)

    return sample


def _neighbors(num_choices, is_valid, canonicalize):
    """Every (decision, other choice) pair: K = sum(num_choices) - L rows."""
    pairs = [(at, step) for at, n in enumerate(num_choices) for step in range(1, n)]
    at, step = (np.asarray(column) for column in zip(*pairs, strict=True))

    def neighbors(archs):
        batch, length = archs.shape
        changed = (archs[:, at] + step[None]) % np.asarray(num_choices)[None, at]  # [B, K]
        around = jnp.broadcast_to(archs[:, None, :], (batch, len(pairs), length))
        around = around.at[:, np.arange(len(pairs)), at].set(changed).reshape(-1, length)
        is_new = is_valid(around)
        around = canonicalize(around).reshape(batch, len(pairs), length)
        differs = jnp.any(around != archs[:, None, :], axis=-1)
        return around, is_new.reshape(batch, -1) & differs

    return neighbors


def pick(key: chex.PRNGKey, around: chex.Array, is_valid: chex.Array) -> chex.Array:
    """Returns int32[B, L], for each row one of its K valid neighbours int32[B, K, L], uniformly."""
    scores = jnp.where(is_valid, jax.random.uniform(key, is_valid.shape), -1.0)
    at = jnp.argmax(scores, axis=1)
    return jnp.take_along_axis(around, at[:, None, None], axis=1)[:, 0]


def after_any(legal: np.ndarray) -> np.ndarray:
    """Returns bool[T, V, V], where the tokens legal at each position, bool[T, V], are so after every token."""
    return np.repeat(legal[:, None, :], legal.shape[1], axis=1)


def _tokens(num_choices):
    """Decisions share one vocabulary: the start symbol, then a token for each choice."""
    choices = np.arange(-1, max(num_choices))[None, :]
    legal = (choices >= 0) & (choices < np.asarray(num_choices)[:, None])
    return (lambda archs: archs + 1), (lambda tokens: tokens - 1), after_any(legal)


def check_rows(archs: np.ndarray, space: types.SearchSpace) -> None:
    """Raises a `ValueError` that names the first row of int[P, L] that is not a valid canonical one."""
    archs = np.asarray(archs)
    if archs.ndim != 2 or archs.shape[1] != len(space.num_choices):
        raise ValueError(f"archs of {space.name} have shape (any, {len(space.num_choices)}); got {archs.shape}")
    archs = archs.astype(np.int32)
    is_good = np.asarray(space.is_valid(archs)) & np.all(np.asarray(space.canonicalize(archs)) == archs, axis=1)
    if not is_good.all():
        at = int(np.argmin(is_good))
        raise ValueError(
            f"row {at} of {len(archs)}, {archs[at].tolist()}, is not a valid canonical architecture of {space.name}; "
            "check it with `is_valid` and rewrite it with `canonicalize`"
        )
