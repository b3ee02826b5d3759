"""Train state. Restoring it resumes training bit-exactly."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax


@chex.dataclass(frozen=True)
class State:
    """The state of a training run.

    It holds no key: the random numbers of step t follow from (key, t), those of epoch e from (key, e).
    """

    step: chex.Array  # int32[], steps done
    params: Any
    batch_stats: Any  # running statistics of the network; {} if it has none
    opt_state: Any  # of the optimizer
    average: Any  # {"params", "batch_stats"}, their moving averages, or None


class Keys(NamedTuple):
    """Random keys of a training run: for the initial parameters, the steps, and the order of the images."""

    init: chex.PRNGKey
    step: chex.PRNGKey
    order: chex.PRNGKey


def keys(key: chex.PRNGKey) -> Keys:
    """Returns the keys of a run."""
    return Keys(*jax.random.split(key, 3))


def create(variables: Any, optimizer: optax.GradientTransformation, *, has_average: bool) -> State:
    """Returns the state before the first step; `variables` may have no "batch_stats"."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    average = None
    if has_average:  # copies: a donated state must not hold a buffer twice
        average = jax.tree.map(jnp.copy, {"params": params, "batch_stats": batch_stats})
    return State(
        step=jnp.int32(0), params=params, batch_stats=batch_stats, opt_state=optimizer.init(params), average=average
    )


def variables(state: State) -> Any:
    """Returns the collections of the network."""
    return {"params": state.params, "batch_stats": state.batch_stats}


def averaged(state: State) -> Any:
    """Returns the collections to evaluate: the moving averages if they are kept."""
    return variables(state) if state.average is None else state.average


def update_average(average: Any, new: Any, decay: float) -> Any:
    """Returns decay * average + (1 - decay) * new, leaf by leaf; None stays None."""
    if average is None:
        return None
    return jax.tree.map(lambda old, value: decay * old + (1.0 - decay) * value, average, new)
