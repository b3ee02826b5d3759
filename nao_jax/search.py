"""NAO as a `Searcher`: fit encoder, predictor and decoder, gradient ascent from the best, decode, repeat.

Papers: NAO (arXiv:1808.07233), Algorithm 1; SemiNAS (arXiv:2002.10389), Algorithm 1.
"""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp

from common import compilation, front_improvement, rows, types, unseen
from common import history as histories
from common import objectives as objectives_lib
from nao_jax import candidates, diagnostics, front, learning
from nao_jax import config as configs


@chex.dataclass(frozen=True)
class State:
    """State of a NAO search.

    Attributes:
      networks: the networks after the last fit.
      index: positions in the history of the rows of a listed space.
      fitted_size: int32[], size of the history at the last fit; 0 before the first.
      predicted: float32[N], the prediction for each row of the history when it was proposed, in the unit of
        `config.target`; NaN for random rows and rows from elsewhere.
      base: float32[N], the prediction at that time for the best measured architecture.
      proposed_by: int32[N], the size of the history at the fit that proposed each row; 0 for other rows.
      tally: counts of the decoded architectures of the last round.
      num_filled: float32[], random proposals after the first fit, in all rounds.
    """

    networks: learning.Networks
    index: unseen.Index
    fitted_size: chex.Array
    predicted: chex.Array
    base: chex.Array
    proposed_by: chex.Array
    tally: candidates.Tally
    num_filled: chex.Array


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace,
    config: configs.Config | None = None,
    *,
    name: str = "nao",
    objectives: objectives_lib.Objectives | None = None,
) -> types.Searcher:
    """Returns NAO on `space`.

    Args:
      config: the settings, by default `Config()`.
      objectives: of the search, by default the fitness; with several see `nao_jax.front`.

    Raises:
      ValueError: `tokens_per_step` does not divide the number of tokens of the space.
    """
    config = config or configs.Config()
    pool = unseen.pool_of(space)
    goal = front_improvement.goal(objectives, space, pool)
    config = dataclasses.replace(config, num_members=config.num_members * front.num_predicted(goal))
    setting = learning.setting(space, config)

    def partial(function):
        return jax.tree_util.Partial(functools.partial(function, setting), pool)

    return types.Searcher(
        name=name,
        count=setting.config.count,
        init=partial(_init),
        propose=jax.tree_util.Partial(functools.partial(_propose, setting), pool, goal),
        diagnostics=partial(diagnostics.of_round),
        objectives=objectives,
    )


@compilation.in_32_bits
def _init(setting, pool, key, history):
    capacity, config = history.status.shape[0], setting.config
    if config.num_initial > capacity:
        raise ValueError(
            f"budget is {capacity}, below num_initial, {config.num_initial}: nothing would ever be learned; raise the "
            "budget or lower num_initial"
        )
    zero = jnp.zeros((), jnp.float32)
    unknown = jnp.full((capacity,), jnp.nan, jnp.float32)
    return State(
        networks=learning.first(setting, pool, key),
        index=unseen.empty_index(pool, history),
        fitted_size=jnp.zeros((), jnp.int32),
        predicted=unknown,
        base=unknown,
        proposed_by=jnp.zeros((capacity,), jnp.int32),
        tally=candidates.Tally(decoded=zero, invalid=zero, known=zero, repeated=zero, new=zero, filled=zero),
        num_filled=zero,
    )


@compilation.in_32_bits
def _propose(setting, pool, goal, key, state, history, *, count):
    if setting.config.failures != "none":
        history = histories.with_failures(history)
    known = unseen.know(pool, state.index, history, count=count)
    state = state.replace(index=known.index)

    def at_random(state):
        archs, is_first = jnp.zeros((count, history.archs.shape[1]), jnp.int32), jnp.zeros((count,), bool)
        if goal is not None:
            ends = goal.ends[:count]
            is_new = ~rows.is_repeat(ends) & (unseen.find(known, ends) == history.status.shape[0])
            archs, is_first = archs.at[: len(ends)].set(ends), is_first.at[: len(ends)].set(is_new)
        return unseen.complete(key, setting.space, known, archs, is_first), state

    def improve(state):
        return _improve(setting, goal, key, state, known, count=count)

    return jax.lax.cond(history.size >= setting.config.num_initial, improve, at_random, state)


def _improve(setting, goal, key, state, known, *, count):
    """Fits the networks if due and proposes architectures."""
    config, history = setting.config, known.history
    others_key, learn_key, propose_key = jax.random.split(key, 3)
    values = None
    if goal is not None:
        values = jnp.repeat(front.targets(goal, history), config.num_members // front.num_predicted(goal), axis=0)
        known = known.replace(history=front.by_dominance(jax.random.fold_in(key, 0), history))
    others = learning.unlabelled(setting, others_key, known.pool, known.history)
    is_first = state.fitted_size == 0
    is_due = is_first | (history.size - state.fitted_size >= config.num_new)
    networks, fitted_size = jax.lax.cond(
        is_due,
        lambda networks: (
            learning.learn(setting, networks, learn_key, history, others, is_first=is_first, values=values),
            history.size,
        ),
        lambda networks: (networks, state.fitted_size),
        state.networks,
    )
    rating = None if goal is None else front.start(setting, networks, goal, history, count)
    proposals = candidates.propose(setting, networks, propose_key, known, others, count=count, rating=rating)
    at = history.size + jnp.arange(count)
    predicted = jnp.where(proposals.is_decoded, proposals.prediction, jnp.nan)
    state = state.replace(
        networks=networks,
        fitted_size=fitted_size,
        predicted=state.predicted.at[at].set(predicted, mode="drop"),
        base=state.base.at[at].set(proposals.base, mode="drop"),
        proposed_by=state.proposed_by.at[at].set(fitted_size, mode="drop"),
        tally=proposals.tally,
        num_filled=state.num_filled + proposals.tally.filled,
    )
    return proposals.archs, state
