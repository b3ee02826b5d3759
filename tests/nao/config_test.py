"""Every setting of the networks that cannot work is refused by name; the published ones can."""

import dataclasses

from absl.testing import parameterized

from nao_jax import config as configs


class ModelConfigTest(parameterized.TestCase):
    @parameterized.named_parameters((name, name) for name in configs.MODELS)
    def test_published_ones_are_valid(self, name):
        configs.validate_model(configs.MODELS[name])

    def test_fields_are_plain_and_explained(self):
        for field in dataclasses.fields(configs.Model):
            kind, text = field.type.__origin__, field.type.__metadata__[0]
            assert kind in (int, float, bool, str)
            assert type(field.default) is kind
            assert len(text) > 10

    @parameterized.parameters(
        ("encoder_dropout_place", configs.DROPOUT_PLACES),
        ("predictor", configs.PREDICTORS),
        ("decoder", configs.DECODERS),
        ("attention", configs.ATTENTIONS),
        ("initializer", configs.INITIALIZERS),
    )
    def test_unknown_names(self, field, allowed):
        with self.assertRaisesRegex(ValueError, f"{field} is 'other'; choose one of {', '.join(allowed)}"):
            configs.validate_model(configs.Model(**{field: "other"}))

    @parameterized.parameters(
        ("embedding_size", 0, "at least 1"),
        ("hidden_size", 0, "at least 1"),
        ("tokens_per_step", 0, "at least 1"),
        ("predictor_layers", -1, "at least 0"),
        ("predictor_size", 0, "at least 1"),
        ("predictor_weight_range", -0.1, "at least 0"),
        ("encoder_dropout", 1.0, "at least 0 and below 1"),
        ("predictor_dropout", -0.1, "at least 0 and below 1"),
        ("decoder_dropout", float("nan"), "at least 0 and below 1"),
    )
    def test_numbers_out_of_range(self, field, value, allowed):
        with self.assertRaisesRegex(ValueError, f"{field} is {value}; it must be {allowed}"):
            configs.validate_model(configs.Model(**{field: value}))

    def test_a_skip_needs_equal_sizes(self):
        with self.assertRaisesRegex(ValueError, "2 x 48, must be hidden_size, 64"):
            configs.validate_model(configs.Model(embedding_size=48, tokens_per_step=2))
        configs.validate_model(configs.Model(embedding_size=32, tokens_per_step=2))
        configs.validate_model(configs.Model(embedding_size=48, tokens_per_step=2, is_bidirectional=False))

    def test_the_residual_decoder_has_no_input_feeding(self):
        with self.assertRaisesRegex(ValueError, "attention 'dot' or 'general'; got 'additive'"):
            configs.validate_model(configs.Model(attention="additive"))
