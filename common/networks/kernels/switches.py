"""Switches and sums over a number of terms that is data, whose backward pass recomputes the chosen body.

Differentiated by JAX, a switch reserves memory for the residuals of every body and fills those of the bodies that were
not chosen with zeros, and a loop whose length is data has no derivative. Here the backward pass is a switch or a loop
over the derivatives of the bodies: a third more work for the chosen body, nothing for the others.
"""

import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax import lax

Body = Callable[[Any, Any], Any]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def switch(bodies: tuple[Body, ...], index: chex.Array, operands: Any, constants: Any) -> Any:
    """Returns bodies[index](operands, constants), with a gradient for the operands alone.

    Args:
      bodies: functions with results of one shape.
      index: int32[].
      operands: a tree of floats.
      constants: a tree without a gradient, such as masks.
    """
    return lax.switch(index, bodies, operands, constants)


def _switch_forward(bodies, index, operands, constants):
    return lax.switch(index, bodies, operands, constants), (index, operands, constants)


def _switch_backward(bodies, kept, gradient):
    def back(body, operands, constants):
        return jax.vjp(lambda operands: body(operands, constants), operands)[1](gradient)[0]

    index, operands, constants = kept
    return None, lax.switch(index, [functools.partial(back, body) for body in bodies], operands, constants), None


switch.defvjp(_switch_forward, _switch_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def sum_first(body: Body, number: chex.Array, operand: Any, terms: Any) -> chex.Array:
    """Returns the sum of body(operand, term) over the first `number` terms, of the shape of the operand.

    Args:
      body: a function.
      number: int32[], at least 1.
      operand: float[...].
      terms: arrays [N, ...].
    """

    def add(at, total):
        return total + body(operand, jax.tree.map(lambda values: values[at], terms))

    return lax.fori_loop(0, number, add, jnp.zeros_like(operand))


def _sum_forward(body, number, operand, terms):
    return sum_first(body, number, operand, terms), (number, operand, terms)


def _sum_backward(body, kept, gradient):
    number, operand, terms = kept

    def add(at, totals):
        of_operand, of_terms = jax.vjp(body, operand, jax.tree.map(lambda values: values[at], terms))[1](gradient)
        of_all, of_each = totals
        return of_all + of_operand, jax.tree.map(lambda all_, one: all_.at[at].set(one), of_each, of_terms)

    return None, *lax.fori_loop(0, number, add, jax.tree.map(jnp.zeros_like, (operand, terms)))


sum_first.defvjp(_sum_forward, _sum_backward)
