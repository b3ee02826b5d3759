"""Monte Carlo tree search over the decisions, without learned actions (UCT, Kocsis and Szepesvari, 2006)."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, regression_targets, rows, types
from common import config as configs
from common import history as history_lib
from common.baselines import stateless

_MAX_DRAWS = 100


@configs.dataclass
class Config:
    """Settings of Monte Carlo tree search."""

    count: Annotated[int, "architectures proposed a round", configs.Range(at_least=1)] = 1
    target: Annotated[
        Literal[tuple(regression_targets.TARGETS)],
        "values of the tree: scores of the ranks of fitness, or scaled fitness",
    ] = "normal_scores"
    exploration: Annotated[float, "constant of the upper confidence bound", configs.Range(at_least=0)] = 0.3


@compilation.in_32_bits
def searcher(space: types.SearchSpace, config: Config | None = None, *, name: str = "mcts") -> types.Searcher:
    """Returns Monte Carlo tree search on the raw decisions, a comparison of the LaNAS paper (arXiv:1906.06832).

    A node is a prefix of the decisions. At each node the choice with the largest bound Q + c sqrt(2 log n / n_choice)
    is taken, a choice never evaluated first; ties, and so the roll-outs below the tree, are random. Q is the mean value
    of the evaluated architectures with the prefix. The statistics follow from the rows of the history, so the tree is
    no state, and all of an evaluated path belongs to it, as in the first publication. Failed and pending architectures
    are visits without a value. The LaNAS paper does not publish its settings.

    Each query is a new architecture: in a space that can be listed, choices without unseen architectures are closed;
    elsewhere a known result is drawn again, and after 100 failures a random unseen architecture is proposed.
    """
    config = config or Config()

    def choose(key, known, count):
        history, pool = known.history, known.pool
        capacity = history.status.shape[0]
        is_measured = jnp.pad(history_lib.is_measured(history), (0, count))
        values = regression_targets.targets(jnp.pad(history.fitness, (0, count)), is_measured, target=config.target)

        def simulate(carry, inputs):
            """Proposes a row, which is a visit without a value for the next ones of the round."""
            visited, is_free = carry
            at, key = inputs

            def draw(carry):
                key, _, _, num_draws = carry
                key, subkey = jax.random.split(key)
                row = _descend(subkey, space, config, (visited, values, is_measured), (pool, is_free))
                row = space.canonicalize(row[None])
                is_new = space.is_valid(row)[0] & ~jnp.any(jnp.all(visited == row, axis=1))
                return key, row[0], is_new, num_draws + 1

            row = jnp.zeros(visited.shape[1:], jnp.int32)
            carry = draw((key, row, jnp.zeros((), bool), 0))
            _, row, is_new, _ = jax.lax.while_loop(lambda carry: ~carry[2] & (carry[3] < _MAX_DRAWS), draw, carry)
            visited = visited.at[capacity + at].set(jnp.where(is_new, row, -1))
            if pool.shape[0]:
                is_free = is_free.at[rows.find(pool, row[None])].set(False, mode="drop")
            return (visited, is_free), (row, is_new)

        visited = jnp.pad(history.archs, ((0, count), (0, 0)), constant_values=-1)
        carry = visited, known.index.places == capacity
        return jax.lax.scan(simulate, carry, (jnp.arange(count), jax.random.split(key, count)))[1]

    return stateless.searcher(space, choose, config=config, name=name)


def _descend(key, space, config, evaluated, listed):
    """Returns int32[L]: at each decision the choice with the largest bound, given those before it."""
    visited, values, is_valued = evaluated
    pool, is_free = listed
    num_choices = np.array(space.num_choices)
    choices = np.arange(max(space.num_choices))[None]

    def decide(carry, inputs):
        is_at, is_free = carry
        column, listed_column, num_choices, key = inputs
        is_child = is_at[:, None] & (column[:, None] == choices)
        visits = jnp.sum(is_child, axis=0)
        num_valued = jnp.sum(is_child & is_valued[:, None], axis=0)
        mean = jnp.sum(jnp.where(is_child, values[:, None], 0.0), axis=0) / jnp.maximum(num_valued, 1)
        bonus = jnp.sqrt(2.0 * jnp.log(jnp.maximum(jnp.sum(visits), 1)) / jnp.maximum(visits, 1))
        bound = jnp.where(visits > 0, mean + config.exploration * bonus, jnp.inf)
        is_open = choices[0] < num_choices
        if pool.shape[0]:
            is_open &= jnp.any(is_free[:, None] & (listed_column[:, None] == choices), axis=0)
        bound = jnp.where(is_open, bound, -jnp.inf)
        choice = jnp.argmax(jnp.where(bound == jnp.max(bound), jax.random.uniform(key, bound.shape), -1.0))
        return (is_child[:, choice], is_free & (listed_column == choice)), choice

    keys = jax.random.split(key, len(num_choices))
    inputs = visited.T, pool.T, jnp.asarray(num_choices), keys
    return jax.lax.scan(decide, (jnp.any(visited >= 0, axis=1), is_free), inputs)[1].astype(jnp.int32)


ALGORITHM = types.Algorithm("mcts", Config(), {"mcts": Config()}, searcher)
