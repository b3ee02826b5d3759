"""The PyTorch networks that training is measured against are ours: the same parameters, the same logits."""

import dataclasses

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common.networks import child, counting

torch = pytest.importorskip("torch", reason="the reference of the benchmark needs PyTorch")

from benchmarks import training, training_torch  # noqa: E402


class ReferenceTest(parameterized.TestCase):
    @parameterized.parameters(*training.NETWORKS)
    def test_the_same_logits_with_the_same_weights(self, name):
        genotype, config = training.network(name, num_cells=3, width=4)
        config = dataclasses.replace(config, stem_multiplier=2, auxiliary=False)
        ours, reference = child.Network(genotype, config), training_torch.Network(genotype, config)
        images = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
        shapes = jax.eval_shape(lambda key: ours.init(key, images[:1], train=False), jax.random.key(0))
        rng = np.random.default_rng(1)
        variables = jax.tree.map(lambda leaf: rng.uniform(0.1, 0.4, leaf.shape).astype(np.float32), shapes)
        training_torch.copy(reference, variables)
        with torch.no_grad():
            found, _ = reference.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2)))
        expected = jax.jit(lambda variables: ours.apply(variables, images, train=False).main)(variables)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=2e-4)

    @parameterized.parameters(*training.NETWORKS)
    def test_the_same_number_of_parameters(self, name):
        genotype, config = training.network(name, num_cells=5, width=6)
        ours = sum(counting.num_params(child.Network(genotype, config), (32, 32, 3)))
        reference = training_torch.Network(genotype, config)
        assert sum(parameter.numel() for parameter in reference.parameters()) == ours

    @pytest.mark.slow
    def test_both_sides_run(self):
        genotype, config = training.network("lanet_36", num_cells=3, width=4)
        for side in (
            training.our_side(genotype, config, batch_size=2),
            training.reference_side(genotype, config, batch_size=2),
        ):
            for run in side.run.values():
                run()
