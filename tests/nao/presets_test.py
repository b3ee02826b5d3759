"""Every setting of a search that cannot work is refused by name; the published ones are as published."""

import dataclasses

from absl.testing import parameterized

from common import regression_targets as targets
from nao_jax import augmentation, presets
from nao_jax import config as configs

ADAM = {"learning_rate": 1e-3, "clip_norm": 5.0, "fit_unit": "epochs", "keeps_moments": False, "is_warm": True}
CLIMB = {
    **{"num_seeds": 100, "has_unit_gradient": False, "num_climbs": 1, "beam_width": 1},
    **{"order": "step_size", "temperature": 0.0},
}
ALONE = {"seeds": "measured", "num_unlabelled": 0, "num_mutated": 0, "fit_synthetic": 0}
COMMON = {**ADAM, **CLIMB, "num_members": 1, "mse_weight": 0.8}
TENSORFLOW = {**COMMON, **ALONE, "decay": "loss", "weight_decay": 1e-4, "target": "min_max", "fit_first": 1000}
PYTORCH = {**TENSORFLOW, "decay": "gradient", "batch_size": 100}
SEMINAS = {
    **{**COMMON, "decay": "gradient", "weight_decay": 1e-4, "batch_size": 100, "augmentation": "none"},
    **{"seeds": "union", "reconstructs_unlabelled": False, "num_mutated": 0},
}


def rounds(num_initial, num_new, num_random=0):
    return {"num_initial": num_initial, "num_new": num_new, "count": num_new, "num_random": num_random}


def steps(smallest, number):
    return {"step_size": smallest, "num_steps": number}


# By the papers and what was released with them; of the networks see config_test.
PUBLISHED = {
    "nao_paper": {
        **{**TENSORFLOW, **rounds(600, 200), **steps(10.0, 1)},
        **{"mse_weight": 0.9, "fit_later": 1000, "augmentation": "none"},
    },
    "nao_cnn": {**TENSORFLOW, **rounds(600, 300), **steps(10.0, 3), "batch_size": 50, "augmentation": "none"},
    "nao_rnn": {**TENSORFLOW, **rounds(600, 300), **steps(10.0, 3), "batch_size": 50, "augmentation": "none"},
    # 500 generated and 50 random ones a round.
    "nao_ws_cnn": {
        **{**TENSORFLOW, **rounds(1000, 550, 50), **steps(1.0, 100)},
        **{"batch_size": 100, "augmentation": "swap", "num_copies": 1},
    },
    "nao_ws_rnn": {**PYTORCH, **rounds(1000, 350, 50), **steps(1.0, 30), "augmentation": "none"},
    "nao_pytorch_v1": {**PYTORCH, **rounds(600, 300), **steps(1.0, 50), "augmentation": "swap"},
    "nao_pytorch_v2": {
        **{**PYTORCH, **rounds(1000, 300), **steps(1.0, 50)},
        **{"weight_decay": 0.0, "augmentation": "expand", "num_copies": 10, "num_folds": 10},
    },
    "nao_nasbench101": {
        **{**PYTORCH, **rounds(1100, 300), **steps(1.0, 100)},
        **{"target": "z_score", "augmentation": "none", "num_copies": 1},
    },
    "seminas_nasbench101": {
        **{**SEMINAS, **rounds(1100, 300), **steps(1.0, 100), "target": "z_score", "num_copies": 10},
        **{"fit_first": 1000, "fit_later": 1000, "num_unlabelled": 10_000, "fit_synthetic": 500},
    },
    "seminas_nasbench101_300": {
        **{**SEMINAS, **rounds(100, 100), **steps(1.0, 100), "target": "z_score", "num_copies": 100},
        **{"fit_first": 1000, "fit_later": 1000, "num_unlabelled": 10_000, "fit_synthetic": 500},
    },
    "seminas_imagenet": {
        **{**SEMINAS, **rounds(100, 100), **steps(0.1, 1000), "target": "min_max", "num_copies": 1},
        **{"fit_first": 10_000, "fit_later": 10_000, "num_unlabelled": 4000, "fit_synthetic": 1000},
    },
}
MODELS = {
    **{name: name for name in configs.MODELS},
    "nao_paper": "nao_cnn",
    "nao_nasbench101": "seminas_nasbench101",
    "seminas_nasbench101_300": "seminas_nasbench101",
}


class PresetsTest(parameterized.TestCase):
    def test_ours_and_every_published_one(self):
        assert set(presets.PRESETS) == {"nao", "seminas", *PUBLISHED}
        assert presets.PRESETS["nao"] == presets.Config()
        seminas = presets.PRESETS["seminas"]
        assert seminas.fit_synthetic > 0
        assert dataclasses.replace(seminas, fit_synthetic=0) == presets.Config()

    @parameterized.named_parameters((name, name) for name in presets.PRESETS)
    def test_valid(self, name):
        presets.validate(presets.PRESETS[name])

    @parameterized.named_parameters((name, name) for name in PUBLISHED)
    def test_as_published(self, name):
        config = presets.PRESETS[name]
        assert {field: getattr(config, field) for field in PUBLISHED[name]} == PUBLISHED[name]
        assert config.model == configs.MODELS[MODELS[name]]

    def test_fields_are_plain_and_explained(self):
        for field in dataclasses.fields(presets.Config):
            kind, text = field.type.__origin__, field.type.__metadata__[0]
            assert kind in (int, float, bool, str, configs.Model)
            assert type(field.default) is kind
            assert len(text) > 5

    def test_no_name_is_that_of_a_field_of_the_networks(self):
        """They share one command line."""
        names = ({field.name for field in dataclasses.fields(kind)} for kind in (presets.Config, configs.Model))
        assert not set.intersection(*names)


class ValidateTest(parameterized.TestCase):
    def refuse(self, message, config=None, **fields):
        config = dataclasses.replace(config or presets.Config(), **fields)
        with self.assertRaisesRegex(ValueError, message):
            presets.validate(config)

    @parameterized.parameters(
        ("target", targets.TARGETS),
        ("decay", presets.DECAYS),
        ("fit_unit", presets.FIT_UNITS),
        ("augmentation", augmentation.AUGMENTATIONS),
        ("seeds", presets.SEEDS),
        ("order", presets.ORDERS),
    )
    def test_unknown_names(self, field, allowed):
        self.refuse(f"{field} is 'other'; choose one of {', '.join(allowed)}", **{field: "other"})

    @parameterized.parameters(
        ("num_members", 0, "at least 1"),
        ("num_folds", -1, "at least 0"),
        ("num_initial", 0, "at least 1"),
        ("num_new", 0, "at least 1"),
        ("count", 0, "at least 1"),
        ("num_random", -1, "at least 0"),
        ("mse_weight", -0.1, "from 0 to 1"),
        ("mse_weight", 1.1, "from 0 to 1"),
        ("mse_weight", float("nan"), "from 0 to 1"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("weight_decay", -1e-4, "at least 0"),
        ("clip_norm", 0.0, "above 0"),
        ("batch_size", 0, "at least 1"),
        ("fit_first", 0, "at least 1"),
        ("fit_later", 0, "at least 1"),
        ("num_copies", -1, "at least 0"),
        ("num_unlabelled", -1, "at least 0"),
        ("num_mutated", -1, "at least 0"),
        ("fit_synthetic", -1, "at least 0"),
        ("num_seeds", 0, "at least 1"),
        ("step_size", 0.0, "above 0"),
        ("num_steps", 0, "at least 1"),
        ("num_climbs", 0, "at least 1"),
        ("beam_width", 0, "at least 1"),
        ("temperature", -0.1, "at least 0"),
    )
    def test_numbers_out_of_range(self, field, value, allowed):
        self.refuse(f"{field} is {value}; it must be {allowed}", **{field: value})

    def test_every_number_has_a_range(self):
        """A field added later is checked above, or is free on purpose."""
        for field in dataclasses.fields(presets.Config):
            if type(field.default) in (int, float):
                self.refuse(field.name, **{field.name: -1})

    def test_of_the_networks(self):
        self.refuse("hidden_size is 0; it must be at least 1", model=configs.Model(hidden_size=0))

    def test_fields_that_do_not_suit_each_other(self):
        self.refuse("count is 6, above num_new, 5", count=6, num_new=5)
        self.refuse("num_random is 4; it must be at most count, 3", count=3, num_random=4)
        self.refuse("num_mutated is 11; it must be at most num_unlabelled, 10", num_mutated=11, num_unlabelled=10)
        self.refuse("num_folds is 1.*take 0 or at least 2", num_folds=1)
        self.refuse("target must be 'min_max'; got 'z_score'", presets.PRESETS["seminas_imagenet"], target="z_score")
        alone = presets.PRESETS["nao_cnn"]
        self.refuse("initializer 'orthogonal'.*set is_warm, or take another", alone, is_warm=False)
        self.refuse("seeds must then be 'measured'.*got 'union', 0 and 1", alone, seeds="union")
        self.refuse("fit_synthetic 0.*got 'measured', 5 and 1", alone, fit_synthetic=5)
        self.refuse("num_copies at least 1; got 'measured', 0 and 0", alone, num_copies=0)
        self.refuse("num_copies must be at least 2; got 1", alone, augmentation="expand")
