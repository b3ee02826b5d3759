"""Sums of branches whose operation and input are data, as a loop that remembers nothing but the sums.

  states[node] += scale * options[choice](weights, states[at])

A derivative taken through such a loop by itself would keep, for every branch, room for whatever any of the options
wants to keep, and fill what the chosen one does not use with zeros: on a CPU that takes longer than most operations.
Here the backward loop computes a branch again from the state that it reads, which is there anyway, as no state
changes after it is first read. That is a third more work for the chosen operations, and takes the memory of the
states alone.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax


class Option(NamedTuple):
    """What a branch can be.

    Attributes:
      run: (the weights of all options, float[B, H, W, F]) -> float[B, H', W', F].
      reads_inputs: whether it reads one of the inputs apart, which are larger than the states, and not a state.
    """

    run: Callable[[Any, chex.Array], chex.Array]
    reads_inputs: bool


class Plan(NamedTuple):
    """Which branches there are, K in the order of their nodes.

    Attributes:
      node: int32[K], the state that each is added to.
      at: int32[K], the state or the input that each reads; a state before `node`.
      choice: int32[K], its option.
    """

    node: chex.Array
    at: chex.Array
    choice: chex.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def add(
    options: tuple[Option, ...],
    plan: Plan,
    states: chex.Array,
    inputs: chex.Array | None,
    weights: Any,
    scales: chex.Array | None,
) -> chex.Array:
    """Returns the states after all branches are added.

    Args:
      options: what branches can be.
      plan: the branches.
      states: float[S, B, H, W, F]; those that are added to start at zero.
      inputs: float[2, B, 2 H, 2 W, F] or so, or None where no option reads them.
      weights: arrays [K, ...], of each branch the weights that any option might take.
      scales: float32[K, B], what each branch is multiplied with; no derivative. None: one.
    """

    def body(states, branch):
        (node, at, choice), weights, scale = branch
        made = lax.switch(choice, [functools.partial(_run, option) for option in options], weights, at, states, inputs)
        return states.at[node].add(_scaled(made, scale)), None

    return lax.scan(body, states, (plan, weights, scales))[0]


def _forward(options, plan, states, inputs, weights, scales):
    states = add(options, plan, states, inputs, weights, scales)
    return states, (plan, states, inputs, weights, scales)


def _backward(options, kept, gradients):
    plan, states, inputs, weights, scales = kept

    def of_one(option, weights, at, gradient):
        _, pull_back = jax.vjp(option.run, weights, _read(option, at, states, inputs))
        of_weights, of_read = pull_back(gradient)
        if inputs is None:
            return of_weights, of_read, None
        if option.reads_inputs:
            return of_weights, jnp.zeros_like(states[0]), of_read
        return of_weights, of_read, jnp.zeros_like(inputs[0])

    def body(carry, branch):
        of_states, of_inputs = carry
        (node, at, choice), weights, scale = branch
        gradient = _scaled(of_states[node], scale)
        branches = [functools.partial(of_one, option) for option in options]
        of_weights, of_state, of_input = lax.switch(choice, branches, weights, at, gradient)
        # What was not read has a gradient of zeros, wherever they are added.
        of_states = of_states.at[jnp.minimum(at, len(states) - 1)].add(of_state)
        if inputs is not None:
            of_inputs = of_inputs.at[jnp.minimum(at, len(inputs) - 1)].add(of_input)
        return (of_states, of_inputs), of_weights

    start = gradients, None if inputs is None else jnp.zeros_like(inputs)
    (of_states, of_inputs), of_weights = lax.scan(body, start, (plan, weights, scales), reverse=True)
    return None, of_states, of_inputs, of_weights, None


add.defvjp(_forward, _backward)


def _run(option, weights, at, states, inputs):
    return option.run(weights, _read(option, at, states, inputs))


def _read(option, at, states, inputs):
    return inputs[at] if option.reads_inputs else states[at]


def _scaled(images, scale):
    return images if scale is None else images * scale[:, None, None, None].astype(images.dtype)


@jax.custom_vjp
def project(states: chex.Array, blocks: chex.Array, is_used: chex.Array) -> chex.Array:
    """Returns the sum of relu(state) @ block over the states that are used, float[B, H, W, O].

    Nothing is computed of the others, and nothing is remembered.

    Args:
      states: float[S, B, H, W, F].
      blocks: float[S, F, O].
      is_used: bool[S].
    """

    def body(total, state):
        state, block, is_used = state
        return lax.cond(is_used, lambda: total + _dense(jax.nn.relu(state), block), lambda: total), None

    total = jnp.zeros((*states.shape[1:-1], blocks.shape[-1]), states.dtype)
    return lax.scan(body, total, (states, blocks, is_used))[0]


def _project_forward(states, blocks, is_used):
    return project(states, blocks, is_used), (states, blocks, is_used)


def _project_backward(kept, gradient):
    def back(state, block):
        _, pull_back = jax.vjp(lambda state, block: _dense(jax.nn.relu(state), block), state, block)
        return pull_back(gradient)

    def body(_, state):
        state, block, is_used = state
        none = functools.partial(jax.tree.map, jnp.zeros_like, (state, block))
        return None, lax.cond(is_used, lambda: back(state, block), none)

    return (*lax.scan(body, None, kept)[1], None)


project.defvjp(_project_forward, _project_backward)


def _dense(images, weights):
    return (images.reshape(-1, images.shape[-1]) @ weights).reshape(*images.shape[:-1], weights.shape[-1])
