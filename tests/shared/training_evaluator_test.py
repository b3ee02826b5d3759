"""Fitness by training: the results of one tiny training, and error messages."""

import functools
import pathlib
import tempfile
from unittest import mock

import chex
import jax
import numpy as np
from absl.testing import parameterized

from common import spaces, types
from common.evaluators import training
from common.executors import measuring
from common.file_formats import tensor_file
from common.networks.kernels import compile_options
from common.supernets import training as supernet
from common.training import loop
from tests.shared import tiny_supernet

QUICK = {"xla_backend_optimization_level": 0}  # such trainings compile for longer still
TINY = {"width": 2, "num_epochs": 1, "num_images": 64, "held_out": 40}


@functools.cache
def evaluator(**changes):
    return training.evaluator("small_images", **{**TINY, **changes})


def arch(count=1):
    return np.asarray(spaces.get("small_images").sample(jax.random.key(1), count))


def cheap_arch():
    """Three convolutions, which compile fast."""
    return np.zeros((1, 18), np.int32)


class TrainingEvaluatorTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(compile_options, "quick", return_value=QUICK))

    def test_one_training(self):
        made = measuring.make(evaluator().recipe)  # as a worker makes it
        assert (made.name, made.space.name, made.is_traceable) == (evaluator().name, "small_images", False)
        assert made.name == "training/digits/preset=short,width=2,num_epochs=1,held_out=40,num_images=64"
        found = made.evaluate(jax.random.key(0), cheap_arch())
        assert found.ok.tolist() == [True]
        assert 0 <= found.fitness[0] <= 1
        np.testing.assert_allclose(found.fitness[0] * 40, np.round(found.fitness[0] * 40), atol=1e-4)  # of 40 images
        assert found.cost[0] > 0

    def test_the_best_epoch_on_request(self):
        made = evaluator(num_epochs=3, fitness_epoch="best")
        assert made.name.endswith(",fitness_epoch=best")
        with mock.patch.object(training, "_evaluated", side_effect=[0.25, 0.75, 0.5]):
            assert made.evaluate(jax.random.key(0), cheap_arch()).fitness.tolist() == [0.75]

    def test_a_training_that_stops_and_resumes_is_the_one_that_does_not(self):
        folder, made = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())), evaluator(num_epochs=3)
        found = []
        for epochs in (1, 1, None, 2):  # 2: what is trained for longer is no beginning, and is replaced
            evaluate = training.until(made, epochs, folder)
            with mock.patch.object(training, "_evaluated", side_effect=lambda *args: found.append(args[2]) or 0.5):
                assert evaluate(jax.random.key(0), cheap_arch()).fitness.tolist() == [0.5]
            (path,) = folder.iterdir()
            counts = [one for one in tensor_file.read(path)[0].values() if one.shape == () and one.dtype == np.int32]
            assert set(map(int, counts)) == {epochs or 3}  # steps, of one batch an epoch
        with mock.patch.object(training, "_evaluated", side_effect=lambda *args: found.append(args[2]) or 0.5):
            made.evaluate(jax.random.key(0), cheap_arch())
        chex.assert_trees_all_equal(found[0], found[1])
        chex.assert_trees_all_equal(found[2], found[4])
        assert not np.array_equal(*(jax.tree.leaves(found[at])[0] for at in (2, 3)))

    def test_one_program_trains_every_architecture(self):
        self.enterContext(mock.patch.object(supernet.supernet, "Network", tiny_supernet.network))
        each, shared = (training.evaluator("nao_small", **TINY, **more) for more in ({}, {"program": "shared"}))
        assert shared.name == each.name + ",program=shared"
        archs = np.asarray(shared.space.sample(jax.random.key(1), 2))
        before = loop._train_chunk._cache_size()
        both = measuring.make(shared.recipe).evaluate(jax.random.key(0), archs)
        again = shared.evaluate(jax.random.key(0), archs[1:])
        assert both.ok.tolist() == [True, True]
        np.testing.assert_array_equal(again.fitness, both.fitness[1:])
        np.testing.assert_allclose(both.fitness * 40, np.round(both.fitness * 40), atol=1e-4)  # of 40 images
        assert loop._train_chunk._cache_size() - before == 2  # one for each evaluator
        assert not shared.evaluate(jax.random.key(0), archs + 100).ok.any()

    @parameterized.parameters("nao_small", "lanas_oneshot", "small_images", "nasbench201", "nasbench_macro")
    def test_networks_of_one_program_have_the_sizes_of_the_others(self, space):
        self.enterContext(mock.patch.object(supernet.supernet, "Network", tiny_supernet.network))
        each, shared = (training.evaluator(space, program=program) for program in ("each", "shared"))
        archs = np.asarray(each.space.sample(jax.random.key(1), 3))
        assert each.costs.keys() == shared.costs.keys() == {"params", "macs"}
        for name, cost in each.costs.items():
            np.testing.assert_array_equal(shared.costs[name](archs), cost(archs))

    @parameterized.parameters("nao_large", "ofa_mobile")
    def test_every_kind_of_space_has_a_network(self, space):
        made = training.evaluator(space, width=2, dtype="bfloat16")  # the network's shapes are checked there
        assert (made.space.name, made.recipe.settings["dtype"]) == (space, "bfloat16")

    @parameterized.parameters(
        (loop.DivergedError(3), "DivergedError: training diverged: step 3 was the last"),
        (MemoryError("no room"), "out of memory: MemoryError: no room"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB"), "out of memory: JaxRuntimeError: RESOURCE_EXHAUSTED"),
    )
    def test_what_fails_is_infeasible_and_the_reason_told(self, error, wanted):
        def fail(*arguments):
            raise error

        with mock.patch.object(training, "_accuracy", fail):
            found = evaluator().evaluate(jax.random.key(0), arch(2))
            candidate = types.Candidate(0, tuple(arch()[0].tolist()), (0, 0), "threefry2x32")
            outcome = measuring.measurer(evaluator())(candidate)
        assert found.ok.tolist() == [False, False]
        assert [reason.startswith(wanted) for reason in found.reasons] == [True, True]
        assert (outcome.ok, outcome.reason) == (False, found.reasons[0])

    def test_an_invalid_row_is_infeasible(self):
        assert not evaluator().evaluate(jax.random.key(0), arch() + 100).ok.any()

    @parameterized.parameters(
        ({"space": "nasbench101"}, "space 'nasbench101' has no network to train; choose one of nao_small"),
        ({"space": "nao_small", "protocol": "best"}, "unknown protocol 'best'"),
        ({"space": "nao_small", "preset": "long"}, "unknown preset 'long'; choose one of short, "),
        ({"space": "nao_small", "dataset": "cifar11"}, "unknown dataset 'cifar11'"),
        ({"space": "nao_small", "held_out": 0}, "held_out must be at least 1"),
        ({"space": "nao_small", "num_images": 9999}, "num_images must be from 1 to 727"),
        ({"space": "ofa_mobile", "num_cells": 3}, "num_cells is for networks of cells"),
        ({"space": "nasbench201", "dtype": "bfloat16"}, "dtype is not a setting of the networks of nasbench201"),
        (
            {"space": "ofa_mobile", "preset": "lanet"},
            "chain, but .* settings are for another kind of network, cells; ",
        ),
        ({"space": "lanas_cell", "program": "shared"}, "'lanas_cell' has no network with shared weights"),
        (
            {"space": "nao_small", "program": "shared", "preset": "lanet"},
            "preset 'lanet' is not 'short'; leave program out",
        ),
        (
            {"space": "nao_small", "program": "shared", "fitness_epoch": "best"},
            "fitness_epoch is not 'last'; leave program",
        ),
    )
    def test_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            training.evaluator(**settings)
