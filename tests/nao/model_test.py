"""The three networks together: published sizes, shapes, purity, error messages."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from nao_jax import model as models
from nao_jax import presets

# name: tokens, vocabulary, parameters of encoder, predictor and decoder by the tables of the papers' models. An LSTM
# has 4 (inputs + size + 1) size, with one bias where PyTorch has two; decoders have embeddings, recurrence, attention
# (query, keys, score with bias and scale; or query, mix) and output.
PUBLISHED = {
    "nao_cnn": (60, 21, 74_784, 97, 133_654),
    "nao_rnn": (22, 16, 75_648, 100_001, 132_689),
    "nao_rnn_paper": (22, 16, 99_840, 26_001, 234_257),
    "nao_ws_cnn": (40, 12, 74_688, 30_001, 131_917),
    "nao_ws_rnn": (22, 16, 74_880, 140_201, 95_728),
    "nao_pytorch_v1": (40, 12, 74_688, 100_001, 104_076),
    "nao_pytorch_v2": (40, 17, 33_568, 65, 47_505),
    "seminas_nasbench101": (27, 7, 74_752, 2_193, 46_215),
    "seminas_imagenet": (21, 8, 4_880, 2_145, 3_144),
}


def make(name="seminas_imagenet", num_tokens=None):
    return models.Model(presets.MODELS[name], num_tokens or PUBLISHED[name][0], PUBLISHED[name][1])


@functools.cache
def init(model, batch=2, seed=0):
    tokens = jax.random.randint(jax.random.key(seed + 1), (batch, model.num_tokens), 1, model.vocabulary_size)
    return jax.jit(model.init)(jax.random.key(seed), tokens, models.shift_right(tokens)), tokens


@functools.partial(jax.jit, static_argnames=("model", "method"))
def apply(model, *args, method=None):
    return model.apply(*args, method=method)


class ModelTest(chex.TestCase, parameterized.TestCase):
    def test_every_published_model_is_counted(self):
        assert PUBLISHED.keys() == presets.MODELS.keys()

    @parameterized.named_parameters((name, name) for name in PUBLISHED)
    def test_sizes_and_shapes(self, name):
        model = make(name)
        num_tokens, size, *expected = PUBLISHED[name]
        blank = jnp.zeros((2, num_tokens), jnp.int32)
        params = jax.eval_shape(model.init, jax.random.key(0), blank, blank)
        counts = [
            sum(int(np.prod(x.shape)) for x in jax.tree.leaves(params["params"][part]))
            for part in ("encoder", "predictor", "decoder")
        ]
        assert counts == expected
        latent, prediction, logits = jax.eval_shape(model.apply, params, blank, blank)
        steps = num_tokens // model.config.tokens_per_step
        assert latent.shape == (2, steps, model.config.hidden_size)
        assert (prediction.shape, logits.shape) == ((2,), (2, num_tokens, size))
        assert {x.dtype for x in (latent, prediction, logits)} == {jnp.dtype("float32")}

    @parameterized.parameters("nao_cnn", "seminas_imagenet")
    def test_the_parts_by_name_are_the_whole(self, name):
        model = make(name)
        params, tokens = init(model)
        latent, prediction, logits = apply(model, params, tokens, models.shift_right(tokens))
        np.testing.assert_allclose(apply(model, params, tokens, method="encode"), latent, atol=1e-5)
        np.testing.assert_allclose(apply(model, params, latent, method="predict"), prediction, atol=1e-5)
        again = apply(model, params, latent, models.shift_right(tokens), method="decode")
        np.testing.assert_allclose(again, logits, atol=1e-5)
        is_squashed = model.config.has_sigmoid and np.all((prediction > 0) & (prediction < 1))
        assert is_squashed == model.config.has_sigmoid

    def test_first_parameters_of_pytorch(self):
        model = make("seminas_nasbench101")
        params = init(model)[0]["params"]
        for values, bound in (
            (params["encoder"]["forward_weights"], 64**-0.5),
            (params["encoder"]["forward_biases"], 2 * 64**-0.5),  # the sum of PyTorch's two
            (params["encoder"]["output_weights"], 128**-0.5),
            (params["decoder"]["mix_weights"], 128**-0.5),
            (params["predictor"]["layer1_weights"], 16**-0.5),
        ):
            assert 0.8 * bound < np.abs(values).max() <= bound
        np.testing.assert_allclose(np.std(params["encoder"]["embeddings"]), 1.0, atol=0.1)
        biases = params["encoder"]["forward_biases"]  # variance of the sum of two uniform samples: 2 x bound^2 / 3
        np.testing.assert_allclose(np.var(biases), 2 / 3 / 64, rtol=0.3)

    def test_first_parameters_of_tensorflow(self):
        params = init(make("nao_rnn"))[0]["params"]
        for part in params.values():
            for name, values in part.items():
                if name.endswith("biases"):
                    np.testing.assert_array_equal(values, np.zeros_like(values))
                elif name != "score_scale":
                    assert 0.09 < np.abs(values).max() <= 0.1

    def test_shift_right(self):
        tokens = jnp.asarray([[3, 1, 2], [4, 5, 6]])
        np.testing.assert_array_equal(models.shift_right(tokens), [[0, 3, 1], [0, 4, 5]])

    @parameterized.parameters(
        ({"num_tokens": 7}, "num_tokens must be a positive multiple of tokens_per_step, 3; got 7"),
        ({"num_tokens": 0}, "num_tokens must be a positive multiple of .*; got 0"),
        ({"vocabulary_size": 1}, "vocabulary_size must be at least 2.*; got 1"),
    )
    def test_refusals(self, changes, message):
        options = {"config": presets.MODELS["nao_cnn"], "num_tokens": 60, "vocabulary_size": 21}
        with self.assertRaisesRegex(ValueError, message):
            models.Model(**{**options, **changes})
