"""Zero-cost scores by hand, and those of a program for all networks against those of each network."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common.evaluators import problem, zero_cost, zero_cost_config
from common.networks import elastic, relu_codes
from common.networks.kernels import compile_options
from common.spaces import small_images

FIRST, SECOND = jnp.array([[1.0, -2.0], [3.0, 0.5]]), jnp.array([[-1.0], [4.0]])
PARAMS = {"first": {"kernel": FIRST, "bias": jnp.array([9.0, 9.0])}, "second": {"kernel": SECOND}}
IMAGES = jnp.array([[1.0, 0.0], [0.0, 2.0]])
LABELS = jnp.array([0, 1])


def linear(params, images, statistics):
    del statistics
    return images @ params["first"]["kernel"] @ params["second"]["kernel"]


def classifier(params, images, statistics):
    del statistics
    return images @ params["first"]["kernel"]


def small(space, score):
    sizes = {"num_cells": 5, "width": 2} if space == "nasbench201" else {"width": 2}
    return zero_cost_config.Config(score=score, batch_size=5, **sizes)


NAMED = {
    "synflow": {},
    "nwot": {"score": "nwot", "batch_size": 64},
    "nwot,batch_size=8,width=4,init_seed=2": {"score": "nwot", "batch_size": 8, "width": 4, "init_seed": 2},
}


class ScoreTest(parameterized.TestCase):
    def check(self, name, apply, expected, params=PARAMS):
        found = jax.jit(functools.partial(zero_cost._PROGRAMS[name], apply))(params, IMAGES, LABELS)
        np.testing.assert_allclose(zero_cost._FINISH[name](np.asarray(found, np.float64)), expected, rtol=1e-5)

    def test_synflow(self):
        """Each of two linear layers has the whole flow, 1 * (1 + 2 * 4) + 1 * (3 + 0.5 * 4)."""
        self.check("synflow", linear, np.log(1 + 2 * (1 * 1 + 2 * 4 + 3 * 1 + 0.5 * 4)))

    def test_synflow_beyond_the_range_of_float32(self):
        params = jax.tree.map(lambda leaf: 1e30 * leaf, PARAMS)
        self.check("synflow", linear, np.log(2 * 14) + 60 * np.log(10), params)

    def test_synflow_without_a_path_is_zero(self):
        self.check("synflow", lambda params, images, statistics: 0 * linear(params, images, statistics), 0.0)

    def test_snip_and_grad_norm(self):
        """The gradient of a softmax regression is the mean of image times (probabilities - one-hot label)."""
        probabilities = jax.nn.softmax(IMAGES @ FIRST)
        gradient = IMAGES.T @ (probabilities - jnp.eye(2)) / 2
        self.check("snip", classifier, jnp.sum(jnp.abs(gradient * FIRST)))
        self.check("grad_norm", classifier, jnp.linalg.norm(gradient))

    def test_jacov(self):
        """Gradients with correlation -1: eigenvalues 2 and 0."""
        k = 1e-5
        expected = -(np.log(2 + k) + 1 / (2 + k) + np.log(k) + 1 / k)
        self.check("jacov", lambda params, images, statistics: images**2 @ jnp.array([[1.0], [1.0]]), expected)

    def test_nwot(self):
        """Codes (1, 0) and (1, 1) in each of two steps, and (0, 1) twice in the branch."""

        def apply(params, images, statistics):
            def step(state, _):
                return jax.nn.relu(images - jnp.array([[-5.0, 1.0]])) + 0 * state, None

            state, _ = jax.lax.scan(step, images, None, length=2)
            branches = [jnp.negative, lambda images: jax.nn.relu(images - jnp.array([[1.0, -5.0]]))]
            return state + jax.lax.switch(params, branches, images)

        self.check("nwot", apply, np.log(6 * 6 - 4 * 4), jnp.int32(1))
        self.check("nwot", apply, np.log(4 * 4 - 2 * 2), jnp.int32(0))

    def test_a_network_without_relu_has_no_codes(self):
        with pytest.raises(ValueError, match="no ReLU"):
            relu_codes.agreement(lambda images: images @ FIRST)(IMAGES)


class ScorerTest(parameterized.TestCase):
    @parameterized.product(space=zero_cost.SHARED, score=tuple(zero_cost_config.SCORES))
    @pytest.mark.slow
    def test_one_program_gives_the_scores_of_each_network(self, space, score):
        self.check(space, score)

    @pytest.mark.slow
    def test_one_program_gives_the_codes_of_each_network(self):
        self.check("nasbench_macro", "nwot")

    def check(self, space, score):
        config = small(space, score)
        row = np.array([3, 1, 2, 4, 0, 3] if space == "nasbench201" else [0, 1, 2, 0, 1, 2, 0, 2])
        network, run = zero_cost.scorer(space, config)
        shared = elastic.FAMILIES[space].network(space, network)
        images = jax.random.normal(jax.random.key(0), (5, 8, 8, 1))
        labels = jnp.arange(5)
        found = zero_cost._of_shared(space, network, 3, images.shape[1:])(score, row, images, labels)
        params = zero_cost.step_lib.init_variables(shared, jax.random.key(3), images.shape[1:], row)["params"]
        made, variables = elastic.FAMILIES[space].extract({"params": params}, network, row)

        def apply(params, images, statistics):
            style = zero_cost.dataclasses.replace(network.style, statistics=statistics)
            alone = made.clone(config=zero_cost.dataclasses.replace(network, style=style))
            return alone.apply({"params": params}, images, train=False).main

        program = functools.partial(zero_cost._PROGRAMS[score], apply)
        expected = jax.jit(program, compiler_options=compile_options.quick("once"))(variables["params"], images, labels)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert np.isfinite(run(score, row[None])).all()

    def test_the_name_tells_settings_apart(self):
        """A search does not resume with scores of other settings; those of the default are named as before."""
        self.enterContext(mock.patch.object(zero_cost, "_of_shared"))
        made = [zero_cost.evaluator("nasbench201", dataset="digits", **settings) for settings in NAMED.values()]
        assert [one.name for one in made] == [f"zero_cost/digits/{name}" for name in NAMED]

    def test_the_fitness_grows_with_the_score(self):
        """Of networks that are compiled one by one, which takes less time than one program for all of a space."""
        task = problem.ZeroCost(space="small_images", zero_cost=small("small_images", "nwot"))
        made = problem.build(task)
        rows = np.array([[0] * 18, small_images.MEMBERS["three_convolutions"], [3] * 18], np.int32)
        score, name = made.evaluate.args
        values = score(name, rows)
        found = made.evaluate.func(lambda *_: values, name, jax.random.key(0), rows)  # compiles nothing again
        np.testing.assert_array_equal(found.ok, [True, True, False])
        np.testing.assert_array_equal(np.isnan(values), [False, False, True])
        np.testing.assert_allclose(found.fitness[:2], 0.5 + 0.5 * values[:2] / (100 + values[:2]), rtol=1e-6)
        assert values[1] > values[0]
        assert (made.recipe.settings["score"], made.test) == ("nwot", None)

    @parameterized.parameters(
        ("nao_rnn", {}, "unknown space with networks to score 'nao_rnn'; choose one of nao_small"),
        ("nasbench_macro", {"num_cells": 5}, "num_cells is for networks of cells; those of nasbench_macro"),
        ("nasbench_macro", {"batch_size": 2000}, "batch_size must be at most 1090, the training images of digits"),
        ("nasbench_macro", {"score": "zen"}, "score"),
    )
    def test_settings_are_checked(self, space, settings, message):
        with pytest.raises(ValueError, match=message):
            zero_cost.evaluator(space, **settings)
