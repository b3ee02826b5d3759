"""Synthetic fitness for tests and benchmarks: cheap, traceable, determined by a seed."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, types
from common.evaluators import tabular
from common.spaces import factory

MAX_ENUMERATED = 50_000  # the optimum of larger spaces is left unknown
# Weights are multiples of this, so that sums are exact for every batch, and the optimum is attained.
_STEP = 2.0**-10
_States = Callable[[np.ndarray], np.ndarray]


def evaluator(space: types.SearchSpace, *, seed: int = 0, interaction: float = 1.0) -> types.Evaluator:
    """Returns an evaluator whose fitness is a random quadratic form of the decisions, squashed into (0, 1).

    With x the one-hot code of an architecture's L decisions, z = w.x / sqrt(L) + interaction * x.W.x / L, where w and W
    are standard normal. The fitness is (1 + z / (1 + |z|)) / 2, and so is the test fitness; the cost is one second. Of
    invalid rows `ok` is False.

    Args:
      space: the space of the rows.
      seed: decides w and W.
      interaction: weight of the pairwise terms; with 0 decisions do not depend on each other.

    Raises:
      ValueError: `seed` or `interaction` is negative.
    """
    if seed < 0 or interaction < 0:
        raise ValueError(f"seed and interaction must not be negative; got {seed} and {interaction}")
    random = np.random.default_rng(seed)
    width, length = sum(space.num_choices), len(space.num_choices)
    linear = random.standard_normal(width) / np.sqrt(length)
    pairwise = interaction * random.standard_normal((width, width)) / length
    weights = tuple(jnp.asarray(np.round(values / _STEP) * _STEP, jnp.float32) for values in (linear, pairwise))
    first = np.cumsum((0, *space.num_choices[:-1]), dtype=np.int32)  # of each decision in the one-hot code

    def fitness(weights, archs):
        linear, pairwise = weights
        at = archs + first[None]
        score = jnp.sum(linear[at], axis=1) + jnp.sum(pairwise[at[:, :, None], at[:, None, :]], axis=(1, 2))
        return 0.5 * (1 + score / (1 + jnp.abs(score)))

    @compilation.one_program
    def measure(weights, key, archs):
        del key
        ok = space.is_valid(archs)
        return types.Evaluation(fitness=jnp.where(ok, fitness(weights, archs), 0.0), cost=ok.astype(jnp.float32), ok=ok)

    optimum = None
    if space.enumerate is not None and space.size <= MAX_ENUMERATED:
        optimum = float(jnp.max(jax.jit(fitness)(weights, jnp.asarray(space.enumerate()))))
    evaluate = jax.tree_util.Partial(measure, weights)
    return types.Evaluator(
        name=f"synthetic/{space.name}/{seed}",
        space=space,
        protocol="validation",
        evaluate=evaluate,
        test=evaluate,
        optimum=optimum,
        num_archs=space.size,
        is_traceable=True,
    )


def nk_landscape(
    name: str, space: types.SearchSpace, *, interactions: int, seed: int, states: _States = np.asarray
) -> types.Evaluator:
    """Returns an NK landscape on a space that can be listed; `interactions` tunes its ruggedness.

    S. Kauffman and E. Weinberger, The NK model of rugged fitness landscapes, Journal of Theoretical Biology 141, 1989,
    with adjacent neighbourhoods: the fitness is that of `nk_fitness`.

    Args:
      name: "benchmark/dataset", for results.
      space: the space of the rows.
      interactions: K, other states on which the contribution of each depends, from 0 (additive) to N - 1 (random).
      seed: decides the contributions.
      states: int[P, L] rows -> int[P, N] states; by default the decisions themselves.

    Raises:
      ValueError: the space cannot be listed, or `interactions` is out of range.
    """
    if space.enumerate is None:
        raise ValueError(f"{space.name} cannot be listed, so it has no NK landscape; choose a smaller space")
    archs = space.enumerate()
    values = states(archs)
    num_states = (values.max(axis=0) + 1).tolist()
    fitness = nk_fitness(values, num_states, interactions=interactions, seed=seed)
    return tabular.from_arrays(name, space, archs, fitness)


def nk_fitness(states: np.ndarray, num_states: Sequence[int], *, interactions: int, seed: int) -> np.ndarray:
    """Returns the mean over i of t_i[s_i, s_(i+1), ..., s_(i+K)], indices modulo N, float64[P] in [0, 1).

    The entries of the tables t_0, t_1, ... are independent and uniform, from one random generator in that order.

    Args:
      states: int[P, N].
      num_states: of each of the N places.
      interactions: K.
    """
    length = len(num_states)
    if not 0 <= interactions < length:
        raise ValueError(f"interactions must be from 0 to {length - 1}, one less than the states; got {interactions}")
    random = np.random.default_rng(seed)
    total = np.zeros(len(states))
    for at in range(length):
        places = [(at + step) % length for step in range(interactions + 1)]
        table = random.uniform(size=[num_states[place] for place in places])
        total += table[tuple(states[:, place] for place in places)]
    return total / length


def variable_length_space(name: str, lengths: Sequence[int], num_choices: int) -> types.SearchSpace:
    """Returns a space of sequences: the first decision is the length, those beyond it are inactive and 0.

    Args:
      lengths: the allowed lengths, increasing.
      num_choices: options at each place.
    """
    lengths, longest = np.asarray(lengths), max(lengths)

    def canonicalize(archs):
        is_active = jnp.arange(longest)[None] < jnp.asarray(lengths)[archs[:, 0]][:, None]
        return jnp.concatenate([archs[:, :1], jnp.where(is_active, archs[:, 1:], 0)], axis=1)

    return factory.search_space(
        name,
        (len(lengths), *[num_choices] * longest),
        size=sum(num_choices ** int(length) for length in lengths),
        describe=lambda arch: " ".join(map(str, arch[1 : 1 + lengths[arch[0]]].tolist())),
        canonicalize=canonicalize,
    )


def sequence_states(archs: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Returns int[P, N], the choices of rows of `variable_length_space` plus one, 0 where there is none."""
    is_active = np.arange(archs.shape[1] - 1)[None] < np.asarray(lengths)[archs[:, 0]][:, None]
    return np.where(is_active, archs[:, 1:] + 1, 0)
