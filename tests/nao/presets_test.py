"""Presets equal the published settings; inconsistent fields raise."""

import dataclasses
import json
import pathlib

from absl.testing import parameterized

from nao_jax import config as configs
from nao_jax import presets

# Settings by the papers and the code released with them; for the networks see model_test.
PUBLISHED = json.loads(pathlib.Path(__file__).with_name("presets.json").read_text())


class PresetsTest(parameterized.TestCase):
    def test_ours_and_every_published_one(self):
        assert set(presets.PRESETS) == {"nao", "seminas", *PUBLISHED}
        assert presets.PRESETS["nao"] == configs.Config()
        seminas = presets.PRESETS["seminas"]
        assert seminas.fit_synthetic > 0
        assert dataclasses.replace(seminas, fit_synthetic=0) == configs.Config()

    @parameterized.named_parameters((name, name) for name in PUBLISHED)
    def test_as_published(self, name):
        config, expected = presets.PRESETS[name], PUBLISHED[name]
        assert {field: getattr(config, field) for field in expected["settings"]} == expected["settings"]
        assert config.model == presets.MODELS[expected["model"]]

    def test_no_name_is_that_of_a_field_of_the_networks(self):
        """They share one command line."""
        names = ({field.name for field in dataclasses.fields(kind)} for kind in (configs.Config, configs.Model))
        assert not set.intersection(*names)


class ValidationTest(parameterized.TestCase):
    @parameterized.parameters(
        ("nao", {"count": 6, "num_new": 5}, r"count must be at most num_new \(5\).*; got 6"),
        ("nao", {"count": 3, "num_random": 4}, r"num_random must be at most count \(3\); got 4"),
        ("nao", {"num_mutated": 11, "num_unlabelled": 10}, r"num_mutated must be .* num_unlabelled \(10\); got 11"),
        ("nao", {"num_folds": 1}, "num_folds must be 0 or at least 2; got 1"),
        ("seminas_imagenet", {"target": "z_score"}, "target must be 'min_max' with has_sigmoid; got 'z_score'"),
        ("nao_cnn", {"is_warm": False}, "is_warm must be set with initializer 'orthogonal'"),
        ("nao_cnn", {"seeds": "union"}, "requires seeds 'measured'.*got 'union', 0 and 1"),
        ("nao_cnn", {"fit_synthetic": 5}, "fit_synthetic 0.*got 'measured', 5 and 1"),
        ("nao_cnn", {"num_copies": 0}, "num_copies of at least 1; got 'measured', 0 and 0"),
        ("nao_cnn", {"augmentation": "expand"}, "num_copies must be at least 2 .*'expand'; got 1"),
    )
    def test_fields_of_a_search(self, preset, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(presets.PRESETS[preset], **changes)

    def test_a_bidirectional_encoder_adds_inputs_to_states(self):
        with self.assertRaisesRegex(ValueError, "hidden_size must be .*; got 64, not 2 x 48"):
            configs.Model(embedding_size=48, tokens_per_step=2)
        configs.Model(embedding_size=32, tokens_per_step=2)
        configs.Model(embedding_size=48, tokens_per_step=2, is_bidirectional=False)

    def test_the_residual_decoder_has_no_input_feeding(self):
        with self.assertRaisesRegex(ValueError, "attention 'dot' or 'general'; got 'additive'"):
            configs.Model(attention="additive")
