"""Shared weights: outputs and gradients equal those of each stand-alone network; branch sums by hand."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.genotypes import genotype as genotypes
from common.networks import cells, shared_cells, styles, supernet
from common.networks.kernels import branch_sums

# For programs that are compiled for longer than they run.
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
IMAGES = (2, 8, 8, 3)
PRESETS = {"nao_small": "nao_v1", "lanas_oneshot": "lanas_oneshot"}


def config(space, **changes):
    changes = {"num_cells": 3, "width": 4, "auxiliary": False, "drop_path_keep": 1.0} | changes
    return dataclasses.replace(supernet.PRESETS[PRESETS[space]], **changes)


def archs(space, count, seed=1):
    return np.asarray(spaces.get(space).sample(jax.random.key(seed), count))


def images():
    return jax.random.normal(jax.random.key(2), IMAGES)


@functools.cache
def shared(space, num_cells=3):
    """Returns a network and its parameters, none of which is a one or a zero."""
    network = supernet.Network(space, config(space, num_cells=num_cells))

    arch = archs(space, 1)[0]

    def init(key):
        return network.init(key, images(), arch, train=True)["params"]

    params = jax.jit(init, compiler_options=_QUICK)(jax.random.key(0))
    return network, jax.tree.map(
        lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), params
    )


def quick(function):
    return jax.jit(function, compiler_options=_QUICK)


def loss(made):
    return jnp.sum(jnp.sin(made.main))


class NetworkTest(parameterized.TestCase):
    def _check(self, space, num_cells, count):
        network, params = shared(space, num_cells)
        given = quick(lambda variables, arch: network.apply(variables, images(), arch, train=False, statistics="given"))

        @quick
        def differentiate(params, arch):
            def run(params):
                made = network.apply({"params": params}, images(), arch, train=True)
                return loss(made), made.main

            return jax.grad(run, has_aux=True)(params)

        @quick
        def collect(params, arch):
            return network.apply(
                {"params": params}, images(), arch, train=True, statistics="collect", mutable=["batch_stats"]
            )

        for arch in archs(space, count):
            gradient, expected = differentiate(params, arch)
            made, collected = collect(params, arch)
            np.testing.assert_allclose(made.main, expected, atol=1e-4)
            again = given({"params": params, **collected}, arch)
            np.testing.assert_allclose(again.main, expected, atol=1e-3)
            alone, variables = supernet.extract({"params": params, **collected}, space, network.config, arch)
            self._check_alone(alone, variables, expected)
            _, own = supernet.extract({"params": gradient}, space, network.config, arch)
            self._check_gradient(alone, variables, own["params"])
            # All that has a gradient is the architecture's.
            sizes = [sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(tree)) for tree in (gradient, own)]
            self.assertAlmostEqual(sizes[0] / sizes[1], 1.0, places=4)

    def _check_alone(self, alone, variables, expected):
        shapes = jax.eval_shape(lambda key: alone.init(key, images(), train=True), jax.random.key(0))
        chex.assert_trees_all_equal_structs(dict(variables), dict(shapes))
        evaluated = quick(lambda variables: alone.apply(variables, images(), train=False))(variables)
        np.testing.assert_allclose(evaluated.main, expected, atol=1e-3)

    def _check_gradient(self, alone, variables, found):
        def run(params):
            made, _ = alone.apply(variables | {"params": params}, images(), train=True, mutable=["batch_stats"])
            return loss(made)

        expected = quick(jax.grad(run))(variables["params"])
        chex.assert_trees_all_close(found, expected, atol=2e-3, rtol=2e-3)

    @parameterized.parameters(("nao_small",), ("lanas_oneshot",))
    @pytest.mark.slow
    def test_architectures_compute_and_learn_what_they_do_alone(self, space):
        self._check(space, 5, 3)

    def test_reduction_cells_of_nao_ws_read_the_previous_output_halved(self):
        settings = config("nao_small", num_cells=1, style=supernet.PRESETS["nao_ws_tf"].style)
        network, arch = supernet.Network("nao_small", settings), archs("nao_small", 1)[0]
        variables = quick(functools.partial(network.init, train=True))(jax.random.key(0), images(), arch)
        assert {name for name in variables["params"] if "halved" in name} == {"halved_0"}
        assert set(variables["params"]["cell_0"]["calibration"]) == {"reduction_0"}
        assert not any(name.startswith("strided") for name in variables["params"]["cell_0"])
        alone, extracted = supernet.extract(variables, "nao_small", settings, arch)
        found = quick(functools.partial(network.apply, train=True))(variables, images(), arch)
        expected, _ = quick(functools.partial(alone.apply, train=True, mutable=["batch_stats"]))(extracted, images())
        chex.assert_trees_all_close(found.main, expected.main, atol=1e-5)
        trained = supernet.stand_alone(settings)
        assert (trained.style, trained.output) == (styles.NAO_WS_TF, "concatenated")

    @parameterized.parameters(
        ("lanas_cell", {}, "no network with shared weights"),
        ("nao_small", {"output": "concatenated"}, "output must be 'projected'"),
        ("lanas_oneshot", {"output": "projected"}, "output must be 'concatenated'"),
        ("nao_small", {"style": styles.NAO_TF}, "nao_ws_tf"),
    )
    def test_other_networks_are_refused(self, space, changes, message):
        settings = dataclasses.replace(supernet.PRESETS[PRESETS.get(space, "nao_v1")], **changes)
        with self.assertRaisesRegex(ValueError, message):
            supernet.check(space, settings)

    def test_unknown_statistics_are_refused(self):
        network = supernet.Network("nao_small", config("nao_small"))
        with self.assertRaisesRegex(ValueError, "unknown statistics 'all'; choose one of batch, collect, given"):
            network.init(jax.random.key(0), images(), archs("nao_small", 1)[0], train=True, statistics="all")


OPERATIONS = ("identity", "avg_pool_3x3", "conv_1x1")
BRANCHES = {  # of each of three nodes its (operation, state)
    "inputs_read": (
        (("conv_1x1", 0), ("identity", 1)),
        (("avg_pool_3x3", 2), ("conv_1x1", 2)),
        (("conv_1x1", 1), ("identity", 0)),
    ),
    "an_input_left": (
        (("conv_1x1", 1), ("identity", 1)),
        (("conv_1x1", 2), ("avg_pool_3x3", 1)),
        (("identity", 3), ("conv_1x1", 3)),
    ),
}


class CellTest(parameterized.TestCase):
    @parameterized.parameters((False, "inputs_read"), (True, "an_input_left"))
    def test_a_cell_computes_and_learns_what_it_does_alone(self, is_reduction, kind):
        self._check(is_reduction, kind)

    @parameterized.parameters((True, "inputs_read"), (False, "an_input_left"))
    @pytest.mark.slow
    def test_other_cells_compute_and_learn_what_they_do_alone(self, is_reduction, kind):
        self._check(is_reduction, kind)

    def _check(self, is_reduction, kind):
        nodes = tuple(tuple(genotypes.Branch(*branch) for branch in node) for node in BRANCHES[kind])
        style = dataclasses.replace(styles.NAO_PYTORCH, statistics="batch")
        settings = {"features": 4, "style": style, "is_reduction": is_reduction}
        pairs = jnp.array([[(state, OPERATIONS.index(name)) for name, state in node] for node in BRANCHES[kind]])
        shared = shared_cells.SharedCell(OPERATIONS, 3, sharing="branch", output="projected", **settings)
        alone = cells.Cell(genotypes.Cell(nodes, genotypes.loose_ends(nodes)), is_projected=True, **settings)
        states = jax.random.normal(jax.random.key(0), (2, 2, 6, 6, 4))
        scales = jax.random.uniform(jax.random.key(3), (6, 2))
        init = jax.jit(shared.init, static_argnums=5)
        params = init(jax.random.key(1), *states, pairs, scales, True)["params"]
        groups = shared_cells.groups(3, is_reduction=is_reduction)
        own = _own_params(params, pairs.reshape(-1, 2), groups, alone.genotype.output)

        def values(module, params, *more):
            return jnp.sum(jnp.sin(module.apply({"params": params}, *states, *more, scales, True)))

        found = jax.jit(jax.value_and_grad(functools.partial(values, shared)))(params, pairs)
        expected = jax.jit(jax.value_and_grad(functools.partial(values, alone)))(own)
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        gradient = _own_params(found[1], pairs.reshape(-1, 2), groups, alone.genotype.output)
        chex.assert_trees_all_close(gradient, expected[1], atol=1e-4)
        sizes = [sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(tree)) for tree in (found[1], gradient)]
        self.assertAlmostEqual(sizes[0] / sizes[1], 1.0, places=5)


def _own_params(params, pairs, groups, output):
    """Returns the part of a cell's parameters that is of some branches, as `cells.Cell` names it."""
    own = {f"reduction_of_{at}": params[f"reduction_of_{at}"] for at in output if f"reduction_of_{at}" in params}
    blocks = jnp.concatenate([params["projection"][state] for state in output])
    own["projection"] = {"convolution": {"kernel": blocks[None, None]}, "norm": params["norm"]}
    for row, (state, operation) in enumerate(pairs.tolist()):
        group = next(group for group in groups if group.first <= state < group.end)
        at = shared_cells.copies(3, "branch", group)[0][row, state]
        if taken := jax.tree.map(lambda leaf, at=at: leaf[at], params[f"{group.name}_{OPERATIONS[operation]}"]):
            own[f"node_{row // 2}_branch_{row % 2}"] = taken
    return own


class CopiesTest(parameterized.TestCase):
    def test_numbers_of_copies_by_hand(self):
        (unit,) = shared_cells.groups(2, is_reduction=False)
        numbers, size = shared_cells.copies(2, "branch", unit)
        # Two branches of node 0 that read states 0 and 1, then two of node 1 that read 0, 1 and 2.
        np.testing.assert_array_equal(numbers, [[0, 1, 0], [2, 3, 0], [4, 5, 6], [7, 8, 9]])
        self.assertEqual(size, 10)
        numbers, size = shared_cells.copies(2, "edge", unit)
        np.testing.assert_array_equal(numbers, [[0, 1, 0], [0, 1, 0], [2, 3, 4], [2, 3, 4]])
        self.assertEqual(size, 5)
        strided, unit = shared_cells.groups(2, is_reduction=True)
        numbers, size = shared_cells.copies(2, "branch", strided)
        np.testing.assert_array_equal(numbers, [[0, 1, 0], [2, 3, 0], [4, 5, 0], [6, 7, 0]])
        numbers, size = shared_cells.copies(2, "branch", unit)
        np.testing.assert_array_equal(numbers, [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])
        self.assertEqual(size, 2)

    @parameterized.parameters(("branch", 40), ("edge", 20))
    def test_published_numbers_of_copies(self, sharing, expected):
        (unit,) = shared_cells.groups(5, is_reduction=False)
        self.assertEqual(shared_cells.copies(5, sharing, unit)[1], expected)


def plan():
    return branch_sums.Plan(node=jnp.array([2, 2, 3, 3]), at=jnp.array([0, 1, 2, 1]), choice=jnp.array([0, 1, 1, 0]))


OPTIONS = (
    branch_sums.Option(lambda weights, images: weights["a"] * images**2, reads_inputs=False),
    branch_sums.Option(lambda weights, images: jnp.sin(weights["b"] * images), reads_inputs=False),
)


class BranchSumsTest(parameterized.TestCase):
    @parameterized.parameters(False, True)
    def test_values_and_gradients_are_those_of_the_sums_written_out(self, has_scales):
        states = jax.random.normal(jax.random.key(0), (4, 2, 3, 3, 2)).at[2:].set(0)
        weights = {"a": jnp.array([0.5, 9.0, 9.0, 2.0]), "b": jnp.array([9.0, 1.5, 0.7, 9.0])}
        scales = jnp.array([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0], [1.0, 1.0]]) if has_scales else None

        def scaled(at, made):
            return made if scales is None else made * scales[at][:, None, None, None]

        def by_hand(states, weights):
            a, b = weights["a"], weights["b"]
            first = scaled(0, a[0] * states[0] ** 2) + scaled(1, jnp.sin(b[1] * states[1]))
            second = scaled(2, jnp.sin(b[2] * first)) + scaled(3, a[3] * states[1] ** 2)
            return jnp.stack([states[0], states[1], first, second])

        def sums(states, weights):
            return branch_sums.add(OPTIONS, plan(), states, None, weights, scales)

        chex.assert_trees_all_close(sums(states, weights), by_hand(states, weights), atol=1e-6)
        found, expected = (
            jax.grad(lambda *given, made=made: jnp.sum(jnp.cos(made(*given))), argnums=(0, 1))(states, weights)
            for made in (sums, by_hand)
        )
        chex.assert_trees_all_close(found[1], expected[1], atol=1e-5)
        np.testing.assert_allclose(found[0][:2], expected[0][:2], atol=1e-5)
