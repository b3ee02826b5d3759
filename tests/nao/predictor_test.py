"""The predictor by hand."""

import functools

import chex
import jax
import numpy as np
from absl.testing import parameterized

from nao_jax import config as configs
from nao_jax import encoder
from nao_jax import model as models


def mlp(**changes):
    options = {"embedding_size": 6, "hidden_size": 6, "predictor": "mlp", "predictor_layers": 2, "predictor_size": 4}
    return configs.Model(**{**options, **changes})


class PredictorTest(chex.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.latent = encoder.to_unit_length(jax.random.normal(jax.random.key(1), (5, 3, 6)))

    def run_both(self, config, **options):
        """Returns the prediction, the parameters as float64, and the embedding."""
        module = models.Predictor(config)
        params = jax.jit(module.init)(jax.random.key(0), self.latent)
        named = {name: np.asarray(x, np.float64) for name, x in params["params"].items()}
        found = jax.jit(functools.partial(module.apply, **options))(params, self.latent)
        return found, named, np.asarray(encoder.embedding(self.latent), np.float64)

    @parameterized.product(has_sigmoid=[False, True], layers=[0, 2])
    def test_layers_one_after_another(self, has_sigmoid, layers):
        found, named, hidden = self.run_both(mlp(has_sigmoid=has_sigmoid, predictor_layers=layers))
        assert len(named) == 2 * layers + 2
        for layer in range(layers):
            hidden = np.maximum(hidden @ named[f"layer{layer}_weights"] + named[f"layer{layer}_biases"], 0)
        expected = (hidden @ named["output_weights"] + named["output_biases"])[:, 0]
        expected = 1 / (1 + np.exp(-expected)) if has_sigmoid else expected
        chex.assert_shape(found, (5,))
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_two_layers_with_a_skip(self):
        found, named, before = self.run_both(mlp(predictor="residual", predictor_size=4))
        inner = np.maximum(before @ named["layer0_weights"] + named["layer0_biases"], 0)
        hidden = np.maximum(inner @ named["layer1_weights"] + named["layer1_biases"], 0)
        chex.assert_shape(named["layer0_weights"], (6, 4))
        expected = np.sqrt(0.5) * (before + hidden) @ named["output_weights"] + named["output_biases"]
        np.testing.assert_allclose(found, expected[:, 0], atol=1e-6)

    def test_units_are_dropped_in_training_only(self):
        config = mlp(predictor_size=64, predictor_dropout=0.5)
        module = models.Predictor(config)
        params = jax.jit(module.init)(jax.random.key(0), self.latent)
        quiet = module.apply(params, self.latent)
        one = module.apply(params, self.latent, is_training=True, rngs={"dropout": jax.random.key(2)})
        assert not np.allclose(quiet, one)
        silent = models.Predictor(mlp(predictor_size=64, predictor_dropout=0.0))
        np.testing.assert_array_equal(silent.apply(params, self.latent, is_training=True), quiet)

    def test_first_weights_within_their_range(self):
        _, named, _ = self.run_both(mlp(predictor_size=50, predictor_weight_range=0.04))
        for name, values in named.items():
            largest = np.abs(values).max()
            if name.endswith("weights"):
                assert 0.03 < largest <= 0.04
            elif len(values) > 1:
                assert largest > 0.04
