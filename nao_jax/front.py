"""Several objectives: architectures are rated by the expected improvement of the hypervolume.

The networks predict the objectives that are not known from the row, each by `num_members` of them, on the scale of
`common.front_improvement`. Gradient ascent starts from the front and from the best rated, and each network climbs its
own objective. Mutations of the front are candidates beside what it decodes.
"""

import chex
import jax
import jax.numpy as jnp

from common import front_improvement
from common import history as histories
from common import objectives as objectives_lib
from nao_jax import learning

_SPREAD = 12.0**0.5  # targets have variance 1
_LEAST_DEVIATION = 0.05


@chex.dataclass(frozen=True)
class Rating:
    """Basis of ratings in a round."""

    goal: front_improvement.Goal  # the objectives
    deviations: chex.Array  # float32[M], of predictions; 0 where known
    observed: chex.Array  # float32[K, M], the measured rows, scaled, and those selected in this round; 0 for none


def num_predicted(goal: front_improvement.Goal | None) -> int:
    """Returns the number of objectives that are not known from the row."""
    return 1 if goal is None else front_improvement.is_known(goal.objectives).count(False)


def by_dominance(key: chex.PRNGKey, history: histories.History) -> histories.History:
    """Returns the history with dominance in place of fitness, rows of equal dominance in random order."""
    is_measured = histories.is_measured(history)
    values = front_improvement.dominance(objectives_lib.values(history), is_measured)
    noise = 1e-4 * jax.random.uniform(key, values.shape)
    return history.replace(fitness=jnp.where(is_measured, values - noise, jnp.nan))


def targets(goal: front_improvement.Goal, history: histories.History) -> chex.Array:
    """Returns float32[U, N], the targets of the U predicted objectives; 0 where not measured."""
    is_measured = histories.is_measured(history)
    observed = front_improvement.scaled(goal, objectives_lib.values(history), is_measured)
    flags = front_improvement.is_known(goal.objectives)
    columns = [column for column, is_exact in zip(observed.T, flags, strict=True) if not is_exact]
    return jnp.where(is_measured[None], _SPREAD * (jnp.stack(columns) - 0.5), 0.0)


def start(
    setting: learning.Setting,
    networks: learning.Networks,
    goal: front_improvement.Goal,
    history: histories.History,
    count: int,
) -> Rating:
    """Returns the `Rating` of a round that selects `count` rows."""
    is_measured = histories.is_measured(history)
    observed = front_improvement.scaled(goal, objectives_lib.values(history), is_measured)
    means = predict(setting, networks, goal, jnp.maximum(history.archs, 0))
    square = jnp.sum(jnp.where(is_measured[:, None], (means - observed) ** 2, 0.0), axis=0) / jnp.sum(is_measured)
    flags = jnp.asarray(front_improvement.is_known(goal.objectives))
    return Rating(
        goal=goal,
        deviations=jnp.where(flags, 0.0, jnp.maximum(jnp.sqrt(square), _LEAST_DEVIATION)),
        observed=jnp.pad(observed, ((0, count), (0, 0))),
    )


def predict(
    setting: learning.Setting, networks: learning.Networks, goal: front_improvement.Goal, archs: chex.Array
) -> chex.Array:
    """Returns float32[B, M], scaled: the mean predictions of the networks, and the known values."""
    predictions = learning.predict(setting, networks, archs)
    means = predictions.reshape(num_predicted(goal), -1, archs.shape[0]).mean(axis=1) / _SPREAD + 0.5
    known = front_improvement.known(goal, archs)
    rows = iter(means)
    flags = front_improvement.is_known(goal.objectives)
    return jnp.stack([known[:, m] if is_exact else next(rows) for m, is_exact in enumerate(flags)], axis=1)


def rate(rating: Rating, means: chex.Array) -> chex.Array:
    """Returns float32[B], the expected improvement by rows with predictions float32[B, M]."""
    deviations = jnp.broadcast_to(rating.deviations[None], means.shape)
    is_known = front_improvement.is_known(rating.goal.objectives)
    return front_improvement.expected(means, deviations, rating.observed, is_known)


def select(rating: Rating, means: chex.Array, is_candidate: chex.Array, count: int) -> tuple[chex.Array, chex.Array]:
    """Selects rows one after the other, each as if it had been observed and were best in everything predicted.

    Two of five are selected by their margin above the front instead, or narrow parts of it would never be filled.

    Args:
      rating: at the start of the round.
      means: float32[C, M].
      is_candidate: bool[C].

    Returns:
      (int32[count], the rows; bool[count], False where no candidate was left).
    """
    margins = front_improvement.margins(means, rating.observed)
    num_by_rate = count - 2 * count // 5

    def step(carry, index):
        rating, is_left = carry
        score = jnp.where(index < num_by_rate, rate(rating, means), margins)
        at = jnp.argmax(jnp.where(is_left, score, -jnp.inf))
        place = rating.observed.shape[0] - count + index
        value = jnp.where(rating.deviations > 0, 1.0, means[at])
        observed = rating.observed.at[place].set(jnp.where(is_left[at] & jnp.isfinite(value), value, 0.0))
        return (rating.replace(observed=observed), is_left.at[at].set(False)), (at, is_left[at])

    return jax.lax.scan(step, (rating, is_candidate), jnp.arange(count))[1]
