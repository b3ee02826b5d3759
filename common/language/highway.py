"""NAO's recurrent highway cell over a sequence, with a hand-written derivative (arXiv:1808.07233).

With h the previous output, x the input and m the dropout mask of the sequence,

  [c, a] = x W_x + (h m) W_h,   s_0 = h + sigmoid(c) (tanh(a) - h)
  [c, a] = (s_p m) W_i,         s_i = s_p + sigmoid(c) (f(a) - s_p),   p = p(i) < i, f = f(i)

and the output is the mean of some states. The state that a node reads and its activation are either known at compile
time (then nodes that read the same state share one matrix product) or data (then one program serves all cells).

The derivative of a plain scan accumulates the gradient of all weights at every step. Here, the backward loop computes
only the gradients before the activations; those of the weights are one product each over all steps, after the loop.
Likewise, inputs are projected before the loop, and the derivatives of nodes are stored by the forward pass. Only the
products with states remain in the loops.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from common.spaces import nao_rnn

TANH, RELU, IDENTITY, SIGMOID = range(4)  # in the order of the space
ACTIVATIONS = nao_rnn.ACTIVATIONS


class Wiring(NamedTuple):
    """Connections of a cell's nodes."""

    states: tuple[int, ...] | chex.Array  # the state that node 1, 2, ... reads: K integers, or int32[K] as data
    activations: tuple[int, ...] | chex.Array  # index into `ACTIVATIONS` of node 1, 2, ...: likewise
    output: tuple[int, ...]  # states whose mean is the output; state 0 is the first one, state i that of node i


def product(inputs: chex.Array, weights: chex.Array) -> chex.Array:
    """Returns float32[..., G], the matrix product of float32[..., H], in the type of the weights [H, G]."""
    return jnp.dot(inputs.astype(weights.dtype), weights, preferred_element_type=jnp.float32)


def read(
    wiring: Wiring, projected: chex.Array, first: chex.Array, nodes: chex.Array, mask: chex.Array, hidden: chex.Array
) -> chex.Array:
    """Returns float32[T, B, H], the outputs of a cell of K nodes. Its derivative is exact, but the mask has none.

    Args:
      wiring: connections of the nodes.
      projected: float32[T, B, 2H], x W_x.
      first: float[H, 2H], W_h.
      nodes: float[K, H, 2H], W_1 to W_K, whose type is that of the factors of all products.
      mask: float32[B, H], m.
      hidden: float32[B, H], the initial hidden state.
    """
    chex.assert_shape(projected, (None, *hidden.shape[:1], 2 * hidden.shape[1]))
    if isinstance(wiring.states, tuple):
        return _read(wiring, None, projected, first, nodes, mask, hidden)
    data = (wiring.states, wiring.activations)
    return _read(wiring._replace(states=(), activations=()), data, projected, first, nodes, mask, hidden)


class _Group(NamedTuple):
    """Nodes, counted from 1, that read the same state, and their activations."""

    state: int | chex.Array
    nodes: tuple[int, ...]
    activations: tuple[int | chex.Array, ...]


def _groups(wiring, data):
    """Returns groups in an order that computes each state before it is read."""
    if data is not None:
        states, activations = data
        return [_Group(states[i], (i + 1,), (activations[i],)) for i in range(states.shape[0])]
    groups = []
    for state in sorted(set(wiring.states)):
        members = tuple(i + 1 for i, read in enumerate(wiring.states) if read == state)
        groups.append(_Group(state, members, tuple(wiring.activations[i - 1] for i in members)))
    return groups


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _read(wiring, data, projected, first, nodes, mask, hidden):
    """See `read`; `data` is (states, activations), or None if the wiring has them."""
    return _run(wiring, data, projected, first, nodes, mask, hidden, is_trained=False)[0]


def _forward(wiring, data, projected, first, nodes, mask, hidden):
    return _run(wiring, data, projected, first, nodes, mask, hidden, is_trained=True)


def _run(wiring, data, projected, first, nodes, mask, hidden, *, is_trained):
    """Returns (outputs, residuals of the backward pass)."""
    groups = _groups(wiring, data)
    fused = [jnp.concatenate([nodes[at - 1] for at in group.nodes], axis=-1) for group in groups]  # float32[H, G]

    def step(hidden, gates):
        reads = [hidden * mask]
        state, slopes = _node(hidden, gates + product(reads[0], first), TANH)
        states = jnp.zeros((len(nodes) + 1, *hidden.shape)).at[0].set(state)
        all_slopes = [slopes]
        for group, weights in zip(groups, fused, strict=True):
            before = states[group.state]
            reads.append(before * mask)
            gates = jnp.split(product(reads[-1], weights), len(group.nodes), axis=-1)
            for at, part, activation in zip(group.nodes, gates, group.activations, strict=True):
                state, slopes = _node(before, part, activation)
                states = states.at[at].set(state)
                all_slopes.append(slopes)
        output = sum(states[at] for at in wiring.output) / len(wiring.output)
        return output, (output, (reads, all_slopes) if is_trained else None)

    _, (outputs, kept) = jax.lax.scan(step, hidden, projected)
    return outputs, (data, first, fused, mask, kept)


def _backward(wiring, residuals, d_outputs):
    data, first, fused, mask, (reads, slopes) = residuals
    groups = _groups(wiring, data)
    num_states = 1 + sum(len(group.nodes) for group in groups)
    share = jnp.zeros(num_states).at[jnp.array(wiring.output)].set(1.0 / len(wiring.output))
    transposed_first, transposed = first.T, [weights.T for weights in fused]

    def step(d_hidden, at):
        d_output, (first_slopes, *slopes) = at
        d_states = share[:, None, None] * (d_output + d_hidden)[None]
        d_gates, left = [], list(slopes)
        for group, weights in zip(reversed(groups), reversed(transposed), strict=True):
            own, left = left[len(left) - len(group.nodes) :], left[: len(left) - len(group.nodes)]
            parts = [_node_back(d_states[i], s) for i, s in zip(group.nodes, own, strict=True)]
            d_gates.append(jnp.concatenate([d for d, _ in parts], axis=-1))
            d_before = sum(kept for _, kept in parts) + product(d_gates[-1], weights) * mask
            d_states = d_states.at[group.state].add(d_before)
        d_first, kept = _node_back(d_states[0], first_slopes)
        return kept + product(d_first, transposed_first) * mask, (d_first, d_gates[::-1])

    d_hidden, (d_projected, d_gates) = jax.lax.scan(step, jnp.zeros_like(mask), (d_outputs, slopes), reverse=True)
    d_first = _weight_gradient(reads[0], d_projected, first.dtype)
    d_nodes = [None] * (num_states - 1)
    for group, inputs, gates in zip(groups, reads[1:], d_gates, strict=True):
        parts = jnp.split(_weight_gradient(inputs, gates, first.dtype), len(group.nodes), axis=-1)
        for at, part in zip(group.nodes, parts, strict=True):
            d_nodes[at - 1] = part
    return None, d_projected, d_first, jnp.stack(d_nodes), None, d_hidden


def _node(before, gates, activation):
    """Returns (s_i, its derivatives by s_p outside the matrix product, by c, by a), each float32[B, H]."""
    gate, value = jnp.split(gates, 2, axis=-1)
    gate, (value, slope) = jax.nn.sigmoid(gate), _activate(value, activation)
    change = value - before
    return before + gate * change, (1.0 - gate, change * gate * (1.0 - gate), gate * slope)


def _node_back(d_state, slopes):
    """Returns (gradient by [c, a], gradient by s_p outside the matrix product)."""
    kept, by_gate, by_value = slopes
    return jnp.concatenate([d_state * by_gate, d_state * by_value], axis=-1), d_state * kept


def _activate(x, activation):
    """Returns (f(x), f'(x)). As data, one tanh serves both: the sigmoid is (1 + tanh(x / 2)) / 2."""
    if isinstance(activation, int):
        if activation == RELU:
            return jnp.maximum(x, 0.0), (x > 0).astype(x.dtype)
        if activation == IDENTITY:
            return x, jnp.ones_like(x)
        value = jnp.tanh(x) if activation == TANH else jax.nn.sigmoid(x)
        return value, 1.0 - value**2 if activation == TANH else value * (1.0 - value)
    is_tanh = activation == TANH
    bent = jnp.tanh(x * jnp.where(is_tanh, 1.0, 0.5))
    curved = jnp.where(is_tanh, bent, 0.5 + 0.5 * bent)
    curved_slope = (1.0 - bent**2) * jnp.where(is_tanh, 1.0, 0.25)
    is_linear = (activation == IDENTITY) | ((activation == RELU) & (x > 0))
    is_curved = is_tanh | (activation == SIGMOID)
    straight = jnp.where(is_linear, x, 0.0)
    return jnp.where(is_curved, curved, straight), jnp.where(is_curved, curved_slope, is_linear.astype(x.dtype))


def _weight_gradient(inputs, d_outputs, dtype):
    """Returns [H, G] of float32[T, B, H] and [T, B, G]: one product; transposing one is faster on CPU."""
    transposed = jax.lax.optimization_barrier(d_outputs.reshape(-1, d_outputs.shape[-1]).T)
    return product(transposed, inputs.reshape(-1, inputs.shape[-1]).astype(dtype)).T.astype(dtype)


_read.defvjp(_forward, _backward)
