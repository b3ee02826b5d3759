"""LSTM with a hand-written VJP.

A plain scan and its derivative spend their time in many small matrix products. Here all products but one per
step are outside of the loops, each as one product over all steps: the projection of the inputs, its transpose
in the backward pass, and the gradients of the weights. So are the derivatives of the activations. Only the
product with the last hidden state remains in the loops.

All four gates use one hyperbolic tangent, as the logistic function is (1 + tanh(x / 2)) / 2; the weights are
halved once. Sequences are time-major, so that a step reads and writes contiguous memory. The last axis has the
gates in the order input, forget, output, candidate.
"""

import functools

import chex
import jax
import jax.numpy as jnp


def read(
    inputs: chex.Array,
    weights: chex.Array,
    biases: chex.Array,
    h: chex.Array,
    c: chex.Array,
    *,
    forget_bias: float = 0.0,
    is_reversed: bool = False,
) -> chex.Array:
    """Returns float32[T, B, H], the hidden states of an LSTM (Hochreiter and Schmidhuber, 1997; with a forget gate).

    Args:
      inputs: float32[T, B, E].
      weights: float32[E + H, 4H], from inputs and last hidden state to the gates.
      biases: float32[4H].
      h: float32[B, H], the initial hidden state.
      c: float32[B, H], the initial cell state.
      forget_bias: added to the forget gates before activation.
      is_reversed: whether the sequences are read backwards.
    """
    size = h.shape[-1]
    scale = jnp.concatenate([jnp.full((3 * size,), 0.5), jnp.ones((size,))]).astype(weights.dtype)
    biases = gate_biases(biases, forget_bias=forget_bias) * scale
    return _read(is_reversed, inputs, weights * scale[None], biases, h, c)


def cell(gate_inputs: chex.Array, weights: chex.Array, h: chex.Array, c: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Takes one step; returns (h, c).

    Args:
      gate_inputs: float32[B, 4H], the inputs' part of the gates before activation, biases included.
      weights: float32[H, 4H], from the last hidden state to the gates.
      h: float32[B, H].
      c: float32[B, H].
    """
    before = gate_inputs + jnp.dot(h, weights)
    admit, keep, show = jnp.split(jax.nn.sigmoid(before[:, : -h.shape[-1]]), 3, axis=-1)
    c = keep * c + admit * jnp.tanh(before[:, -h.shape[-1] :])
    return show * jnp.tanh(c), c


def split(weights: chex.Array, size: int) -> tuple[chex.Array, chex.Array]:
    """Splits weights float32[E + H, G] into those of the inputs and those of a hidden state of `size` H."""
    return weights[:-size], weights[-size:]


def gate_biases(biases: chex.Array, *, forget_bias: float) -> chex.Array:
    """Returns `biases` float32[4H] with `forget_bias` added to those of the forget gates."""
    size = biases.shape[0] // 4
    return biases.at[size : 2 * size].add(forget_bias) if forget_bias else biases


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _read(is_reversed, inputs, weights, biases, h, c):
    """Like `read`, for weights and biases in which those of the first three gates are halved."""
    return _forward(is_reversed, inputs, weights, biases, h, c)[0]


def _forward(is_reversed, inputs, weights, biases, h, c):
    input_weights, hidden_weights = split(weights, h.shape[-1])
    projected = jnp.dot(inputs, input_weights) + biases[None, None]

    def step(carry, gate_inputs):
        h, c = carry
        gates = jnp.tanh(gate_inputs + jnp.dot(h, hidden_weights))
        admit, keep, show, candidate = jnp.split(gates, 4, axis=-1)
        c = 0.5 * ((1 + keep) * c + (1 + admit) * candidate)
        h = 0.5 * (1 + show) * jnp.tanh(c)
        return (h, c), (h, c, gates)

    _, (hs, cs, gates) = jax.lax.scan(step, (h, c), projected, reverse=is_reversed)
    return hs, (inputs, weights, h, c, hs, cs, gates)


def _backward(is_reversed, residuals, d_hs):
    inputs, weights, h, c, hs, cs, gates = residuals
    input_weights, hidden_weights = split(weights, h.shape[-1])
    slopes = jax.lax.optimization_barrier(_slopes(gates, _before(cs, c, is_reversed), cs))
    hidden_weights_t = hidden_weights.T

    def step(carry, at):
        d_h, d_c = carry
        d_out, keep, by_c, (admit, forget, show, candidate) = at
        d_h = d_h + d_out
        d_c = d_c + d_h * by_c
        d_gates = jnp.concatenate([d_c * admit, d_c * forget, d_h * show, d_c * candidate], axis=-1)
        return (jnp.dot(d_gates, hidden_weights_t), d_c * keep), d_gates

    first = (jnp.zeros_like(h), jnp.zeros_like(c))
    (d_h, d_c), d_gates = jax.lax.scan(step, first, (d_hs, *slopes), reverse=not is_reversed)
    read_by_step = jnp.concatenate([inputs, _before(hs, h, is_reversed)], axis=-1)
    d_weights = read_by_step.reshape(-1, weights.shape[0]).T @ d_gates.reshape(-1, weights.shape[1])
    return jnp.dot(d_gates, input_weights.T), d_weights, jnp.sum(d_gates, axis=(0, 1)), d_h, d_c


def _slopes(gates, cs_before, cs):
    """Local derivatives of all steps at once, each float32[T, B, H].

    Returns:
      (of c by the preceding c, of h by c, (of c by the input and forget gates before activation, of h by the
      output gate, of c by the candidate)).
    """
    admit, keep, show, candidate = jnp.split(gates, 4, axis=-1)
    shown = jnp.tanh(cs)
    by_gates = (
        0.5 * candidate * (1 - admit**2),
        0.5 * cs_before * (1 - keep**2),
        0.5 * shown * (1 - show**2),
        0.5 * (1 + admit) * (1 - candidate**2),
    )
    return 0.5 * (1 + keep), 0.5 * (1 + show) * (1 - shown**2), by_gates


def _before(states, first, is_reversed):
    """Returns the states float32[T, B, H] before each step."""
    return jnp.concatenate([states[1:], first[None]] if is_reversed else [first[None], states[:-1]])


_read.defvjp(_forward, _backward)
