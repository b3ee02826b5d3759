"""Synthetic fitness on any space for tests and benchmarks: cheap, traceable, determined by a seed."""

import jax
import jax.numpy as jnp
import numpy as np

from common import types

MAX_ENUMERATED = 50_000  # the optimum of larger spaces is left unknown
# Weights are multiples of this, so that sums are exact for every batch, and the optimum is attained.
_STEP = 2.0**-10


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
