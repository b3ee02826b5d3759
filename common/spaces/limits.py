"""Limits on costs: the part of a space that respects those on costs that are known from the row.

Every searcher then proposes only such rows, as sampling, mutation, neighbours and validity are those of the part. A row
whose measured cost exceeds a limit is infeasible once it is evaluated (`within`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common import types
from common.spaces import factory

MAX_LISTED = 2_000_000  # rows of a space whose part is listed
_NUM_REDRAWS = 32  # before a sample comes from a walk
_NUM_ANCHORS, _NUM_STEPS = 256, 512  # walks towards the limits, once, and their steps
_NUM_MIXING = 16  # steps of a walk within the limits from one of these
_PATTERN = re.compile(r"\s*([\w./]+)\s*(<=|>=)\s*([-+.\w]+)\s*")

Cost = Callable[[chex.Array], chex.Array]  # archs int[B, L] -> float32[B], traceable


class Limit(NamedTuple):
    """A bound on a cost."""

    cost: str  # its name
    is_most: bool  # whether `value` is the largest value allowed, else the smallest
    value: float  # finite

    def __str__(self):
        return f"{self.cost}{'<=' if self.is_most else '>='}{self.value:g}"


def parse(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Returns limits from texts such as "params<=3e6" or "macs>=5.5e8"; a `ValueError` names the one that is none."""
    found = []
    for text in texts:
        match = _PATTERN.fullmatch(text)
        try:
            value = float(match[3]) if match else np.nan
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise ValueError(f"a limit is a cost, <= or >=, and a number, such as params<=3e6; got {text!r}")
        found.append(Limit(match[1], match[2] == "<=", value))
    for limit in found:
        low, high = (
            [other.value for other in found if other.cost == limit.cost and other.is_most == side]
            for side in (False, True)
        )
        if low and high and max(low) > min(high):
            raise ValueError(f"no {limit.cost} is at least {max(low):g} and at most {min(high):g}")
    return tuple(found)


def texts(given: Sequence[str]) -> tuple[str, ...]:
    """Returns the texts of limits in one spelling and order, which identifies them."""
    return tuple(sorted(map(str, parse(given))))


def excess(limits: Sequence[Limit], costs: Mapping[str, Cost], archs: chex.Array) -> chex.Array:
    """Returns float[B], the sum of the relative excesses over the limits, 0 where all are respected.

    A cost of NaN, which a device that cannot run the network has, exceeds every limit.

    Args:
      costs: functions of the row by name.
      archs: int[B, L], NumPy or JAX.
    """
    xp = np if isinstance(archs, np.ndarray) else jnp
    total = xp.zeros(len(archs), np.float32)
    for limit in limits:
        over = (costs[limit.cost](archs) - limit.value) * (1 if limit.is_most else -1)
        total += xp.where(over <= 0, 0.0, xp.where(xp.isnan(over), np.inf, over / max(abs(limit.value), 1e-30)))
    return total


def split(
    limits: Sequence[Limit], costs: Iterable[str], measured: Iterable[str] = ()
) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """Returns the limits on known costs and those on measured ones, of which the names are given.

    Raises:
      ValueError: a limit is on neither.
    """
    costs = tuple(costs)
    for limit in limits:
        configs.one_of("cost", limit.cost, dict.fromkeys((*costs, *measured)))
    return tuple(one for one in limits if one.cost in costs), tuple(one for one in limits if one.cost not in costs)


def within(evaluation: types.Evaluation, limits: Sequence[Limit], archs: chex.Array) -> types.Evaluation:
    """Returns an evaluation of int[B, L] `archs` that is not `ok` where measured costs exceed limits. Traceable."""
    measured = {name: lambda archs, values=values: values for name, values in evaluation.costs.items()}
    over_limit = evaluation.ok & (excess(limits, measured, archs) > 0)
    return evaluation.replace(ok=evaluation.ok & ~over_limit, over_limit=over_limit)


def part(space: types.SearchSpace, limits: Sequence[Limit], costs: Mapping[str, Cost]) -> types.SearchSpace:
    """Returns the part of a space that respects limits; the space itself if there are none.

    The `costs` must give NumPy arrays of NumPy rows.

    A space of at most `MAX_LISTED` networks that can be listed gives the list of its rows within the limits, and their
    number as the size. Of a larger one the size stays an upper bound, and `sample` is uniform where at least a few
    percent of the rows respect the limits; else samples come from walks within the limits, which started from rows
    found by mutating towards them. A row without a neighbour within the limits mutates into one of these.

    Raises:
      ValueError: a cost is unknown, or no row, or only one, respects the limits; the message says how near others are.
    """
    if not limits:
        return space
    split(limits, costs)
    if space.enumerate is not None and space.size <= MAX_LISTED:
        archs = np.asarray(space.enumerate(), np.int32)
        over = np.concatenate([excess(limits, costs, archs[at : at + 65536]) for at in range(0, len(archs), 65536)])
        if np.count_nonzero(over == 0) < 2:
            raise _empty(space, limits, costs, archs, over)
        return factory.listed(space, archs[over == 0])
    return _sampled(space, limits, costs)


def _empty(space, limits, costs, archs, over):
    """Returns the error of limits that fewer than two rows respect."""
    order = np.argsort(over, kind="stable")
    nearest = archs[order[min(np.count_nonzero(over == 0), len(order) - 1)]][None]
    values = {limit.cost: f"{float(costs[limit.cost](nearest)[0]):.6g}" for limit in limits}
    each = ", ".join(f"{name} {value}" for name, value in values.items())
    number, found = "no network", f"the nearest one has {each}"
    if np.any(over == 0):
        number, found = "only one network", f"the nearest other one has {each}"
    elif len(limits) == 1:
        limit = limits[0]
        found = f"the {'smallest' if limit.is_most else 'largest'} {limit.cost} found is {values[limit.cost]}"
    return ValueError(
        f"{number} of {space.name} respects {', '.join(map(str, limits))}; a search needs at least two: {found}; widen "
        "the limit"
    )


def _sampled(space, limits, costs):
    """Returns the part of a space that cannot be listed, see `part`."""

    def over(archs):
        return excess(limits, costs, archs)

    def redraw(carry):
        step, key, archs = carry
        key, draw_key = jax.random.split(key)
        return step + 1, key, jnp.where((over(archs) == 0)[:, None], archs, space.sample(draw_key, len(archs)))

    def moved(key, archs):
        """Mutates rows, keeping a mutant that is no worse."""
        mutants = space.mutate(key, archs)
        return jnp.where((over(mutants) <= over(archs))[:, None], mutants, archs)

    def step(archs, key):
        return moved(key, archs), None

    def walk(key, num_steps):
        draw_key, walk_key = jax.random.split(key)
        return jax.lax.scan(step, space.sample(draw_key, _NUM_ANCHORS), jax.random.split(walk_key, num_steps))[0]

    walked = np.unique(np.asarray(jax.jit(walk, static_argnums=1)(jax.random.key(0), _NUM_STEPS)), axis=0)
    found = np.asarray(over(walked))
    if np.count_nonzero(found == 0) < 2:
        raise _empty(space, limits, costs, walked, found)
    anchors = walked[found == 0]

    def sample(key, count):
        draw_key, redraw_key, mix_key = jax.random.split(key, 3)

        def is_open(carry):
            return (carry[0] < _NUM_REDRAWS) & jnp.any(over(carry[2]) > 0)

        drawn = jax.lax.while_loop(is_open, redraw, (0, redraw_key, space.sample(draw_key, count)))[2]

        def mix(carry):
            archs, is_filled, key = carry
            key, anchor_key, walk_key = jax.random.split(key, 3)
            start = jnp.asarray(anchors)[jax.random.randint(anchor_key, (count,), 0, len(anchors))]
            walked = jax.lax.scan(step, start, jax.random.split(walk_key, _NUM_MIXING))[0]
            return jnp.where(is_filled[:, None], archs, walked), jnp.ones_like(is_filled), key

        # A loop of one step: under vmap both branches of a condition are computed. The key changes in it, or XLA would
        # walk before the loop.
        return jax.lax.while_loop(lambda carry: ~jnp.all(carry[1]), mix, (drawn, over(drawn) == 0, mix_key))[0]

    def neighbors(archs):
        around, is_valid = space.neighbors(archs)
        return around, is_valid & (over(around.reshape(-1, archs.shape[1])) == 0).reshape(is_valid.shape)

    def mutate(key, archs):
        near_key, far_key = jax.random.split(key)
        around, is_valid = space.neighbors(archs)
        order = jax.random.uniform(near_key, is_valid.shape)

        def is_open(carry):
            _, is_filled, is_left = carry
            return jnp.any(~is_filled & jnp.any(is_left, axis=1))

        def try_next(carry):  # one neighbour of each row, as their costs take longest
            near, is_filled, is_left = carry
            at = jnp.argmax(jnp.where(is_left, order, -1.0), axis=1)
            tried = jnp.take_along_axis(around, at[:, None, None], axis=1)[:, 0]
            is_taken = ~is_filled & jnp.any(is_left, axis=1) & (over(tried) == 0)
            is_left = is_left & (jnp.arange(is_left.shape[1])[None] != at[:, None])
            return jnp.where(is_taken[:, None], tried, near), is_filled | is_taken, is_left

        start = archs, jnp.zeros(archs.shape[:1], bool), is_valid
        near, is_filled, _ = jax.lax.while_loop(is_open, try_next, start)
        at = jax.random.randint(far_key, archs.shape[:1], 0, len(anchors))
        is_same = jnp.all(jnp.asarray(anchors)[at] == archs, axis=1)
        return jnp.where(is_filled[:, None], near, jnp.asarray(anchors)[(at + is_same) % len(anchors)])

    return space._replace(
        is_valid=lambda archs: space.is_valid(archs) & (over(space.canonicalize(archs)) == 0),
        sample=sample,
        neighbors=neighbors,
        mutate=mutate,
        enumerate=None,
    )
