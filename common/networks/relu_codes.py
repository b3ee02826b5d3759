"""Agreement of the ReLU codes of images, read from the traced program of any network.

The code of an image has a bit for each ReLU of the network: whether its input is positive. The program is interpreted
equation by equation, so that networks need not expose their activations.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

_RELUS = ("relu", "relu6")


def agreement(function: Callable[..., Any]) -> Callable[..., chex.Array]:
    """Returns a function of the same arguments with the result float32[B, B]: the bits in which two images agree.

    The kernel matrix of arXiv:2006.04647, section 3, over all ReLUs.

    Args:
      function: a program whose ReLUs have the batch of B images as the first axis of their input.
    """

    def run(*args):
        found = _evaluate(jax.make_jaxpr(function)(*args), jax.tree.leaves(args))[1]
        if found is None:
            raise ValueError("the network has no ReLU, so there are no codes to compare; choose another score")
        return found

    return run


def _evaluate(closed, args):
    """Returns (outputs of a program, agreement of its ReLUs or None if it has none)."""
    values = dict(zip([*closed.jaxpr.constvars, *closed.jaxpr.invars], [*closed.consts, *args], strict=True))
    total = None
    for equation in closed.jaxpr.eqns:
        inputs = [one.val if isinstance(one, core.Literal) else values[one] for one in equation.invars]
        if _has_relu(equation):
            outputs, more = _run(equation, inputs)
            total = more if total is None else total + more
        else:
            outputs = _bind(equation, inputs)
        values.update(zip(equation.outvars, outputs, strict=True))
    found = [one.val if isinstance(one, core.Literal) else values[one] for one in closed.jaxpr.outvars]
    return found, total


def _run(equation, inputs):
    """Returns (outputs, agreement) of an equation with ReLUs."""
    name, params = equation.primitive.name, equation.params
    if _is_relu(equation):
        bits = (inputs[0] > 0).reshape(len(inputs[0]), -1).astype(jnp.float32)
        return _bind(equation, inputs), bits @ bits.T + (1 - bits) @ (1 - bits).T
    if name == "scan":
        num_consts, num_carried = params["num_consts"], params["num_carry"]

        def step(carried, scanned):
            outputs, found = _evaluate(params["jaxpr"], [*inputs[:num_consts], *carried, *scanned])
            return outputs[:num_carried], (outputs[num_carried:], found)

        carried, scanned = inputs[num_consts : num_consts + num_carried], inputs[num_consts + num_carried :]
        settings = {"length": params["length"], "reverse": params["reverse"]}
        carried, (stacked, found) = lax.scan(step, carried, scanned, **settings)
        return [*carried, *stacked], jnp.sum(found, axis=0)
    if name == "cond":
        shapes = [
            jax.eval_shape(lambda *args, one=one: _evaluate(one, args)[1], *inputs[1:]) for one in params["branches"]
        ]
        shape = next(one for one in shapes if one is not None)

        def run(branch, *args):
            outputs, found = _evaluate(branch, args)
            return outputs, jnp.zeros(shape.shape, shape.dtype) if found is None else found

        bodies = [lambda *args, one=one: run(one, *args) for one in params["branches"]]
        return lax.switch(inputs[0], bodies, *inputs[1:])
    nested = _nested(params)
    if name == "while" or len(nested) != 1:
        raise ValueError(f"the network has ReLUs in {name!r}, of which codes are not known; choose another score")
    return _evaluate(nested[0], inputs)


def _bind(equation, inputs):
    found = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
    return found if equation.primitive.multiple_results else [found]


def _is_relu(equation):
    return equation.primitive.name in ("jit", "pjit") and equation.params["name"] in _RELUS


def _has_relu(equation):
    return _is_relu(equation) or any(any(map(_has_relu, closed.jaxpr.eqns)) for closed in _nested(equation.params))


def _nested(params):
    """Returns the programs within an equation."""
    found = []
    for value in params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, core.ClosedJaxpr):
                found.append(one)
            elif isinstance(one, core.Jaxpr):
                found.append(core.ClosedJaxpr(one, ()))
    return found
