"""History of a search: arrays of fixed capacity, and a size."""

import functools

import chex
import jax
import jax.numpy as jnp

from common import compilation, types


@chex.dataclass(frozen=True)
class History:
    """Everything proposed so far, in the order proposed.

    Attributes:
      archs: int32[N, L], canonical rows; -1 beyond `size`.
      fitness: float32[N], a fraction in [0, 1]; NaN unless measured.
      cost: float32[N], seconds; 0 unless measured or infeasible.
      status: int32[N], one of `types.EMPTY`, `PENDING`, `MEASURED`, `INFEASIBLE`.
      size: int32[], how many rows are not empty.
      others: float32[N, M - 1], values of the objectives after the fitness times their signs, so that larger is better;
        NaN unless measured.
    """

    archs: chex.Array
    fitness: chex.Array
    cost: chex.Array
    status: chex.Array
    size: chex.Array
    others: chex.Array


@functools.partial(compilation.one_program, static_argnames=("capacity", "num_decisions", "num_objectives"))
def empty(capacity: int, num_decisions: int, num_objectives: int = 1) -> History:
    """Returns a history with room for `capacity` architectures of `num_decisions` decisions."""
    return History(
        archs=jnp.full((capacity, num_decisions), -1, jnp.int32),
        fitness=jnp.full((capacity,), jnp.nan, jnp.float32),
        cost=jnp.zeros((capacity,), jnp.float32),
        status=jnp.full((capacity,), types.EMPTY, jnp.int32),
        size=jnp.zeros((), jnp.int32),
        others=jnp.full((capacity, num_objectives - 1), jnp.nan, jnp.float32),
    )


@compilation.one_program
def append_pending(history: History, archs: chex.Array) -> History:
    """Appends int32[B, L] `archs` as pending. Rows beyond the capacity are dropped."""
    chex.assert_rank(archs, 2)
    at = history.size + jnp.arange(archs.shape[0])
    return history.replace(
        archs=history.archs.at[at].set(jnp.asarray(archs, jnp.int32), mode="drop"),
        status=history.status.at[at].set(types.PENDING, mode="drop"),
        size=jnp.minimum(history.size + archs.shape[0], history.status.shape[0]),
    )


def record(history: History, at: chex.Array, evaluation: types.Evaluation, others: chex.Array | None = None) -> History:
    """Writes the results of the rows int32[B] `at`. Indices beyond the capacity are dropped.

    A row of which a value is not finite is recorded as infeasible, whatever `ok` says.

    Args:
      history: the history, of M objectives.
      at: int32[B].
      evaluation: of the rows.
      others: float32[B, M - 1], see `History.others`; may be left out where M = 1.
    """
    return _record(history, at, evaluation.fitness, evaluation.cost, evaluation.ok, others)


@compilation.one_program
def _record(history, at, fitness, cost, ok, others):
    others = jnp.zeros((at.shape[0], 0), jnp.float32) if others is None else others
    ok = ok & jnp.isfinite(fitness) & jnp.all(jnp.isfinite(others), axis=1)
    fitness = jnp.where(ok, fitness, jnp.nan).astype(jnp.float32)
    status = jnp.where(ok, types.MEASURED, types.INFEASIBLE).astype(jnp.int32)
    return history.replace(
        fitness=history.fitness.at[at].set(fitness, mode="drop"),
        cost=history.cost.at[at].set(jnp.asarray(cost, jnp.float32), mode="drop"),
        status=history.status.at[at].set(status, mode="drop"),
        others=history.others.at[at].set(jnp.where(ok[:, None], others, jnp.nan), mode="drop"),
    )


def append(
    history: History, archs: chex.Array, evaluation: types.Evaluation, others: chex.Array | None = None
) -> History:
    """Appends measured int32[B, L] `archs`, see `record`. Rows beyond the capacity are dropped."""
    at = history.size + jnp.arange(archs.shape[0])
    return record(append_pending(history, archs), at, evaluation, others)


def is_measured(history: History) -> chex.Array:
    """Returns bool[N], the rows with a fitness to learn from."""
    return history.status == types.MEASURED


@compilation.one_program
def with_failures(history: History) -> History:
    """Returns the history with infeasible rows as if measured, with the worst value of each objective measured so far.

    A model that is fitted to it learns where architectures fail. A history without infeasible rows, or in which nothing
    is measured, is unchanged.
    """
    is_known = is_measured(history)
    is_failed = (history.status == types.INFEASIBLE) & jnp.any(is_known)
    fitness = jnp.min(history.fitness, initial=jnp.inf, where=is_known)
    others = jnp.min(history.others, axis=0, initial=jnp.inf, where=is_known[:, None])
    return history.replace(
        fitness=jnp.where(is_failed, fitness, history.fitness),
        others=jnp.where(is_failed[:, None], others[None], history.others),
        status=jnp.where(is_failed, types.MEASURED, history.status),
    )


@compilation.one_program
def best(history: History) -> tuple[chex.Array, chex.Array]:
    """Returns (index int32[], fitness float32[]) of the first best measured row; (0, -inf) if none."""
    fitness = jnp.where(is_measured(history), history.fitness, -jnp.inf)
    index = jnp.argmax(fitness)
    return index.astype(jnp.int32), fitness[index]


@compilation.one_program
def contains(history: History, archs: chex.Array) -> chex.Array:
    """Returns bool[B]: which of int32[B, L] `archs` the history holds, whatever their status."""

    def one(arch):
        return jnp.any(jnp.all(history.archs == arch[None], axis=1))

    return jax.vmap(one)(archs)
