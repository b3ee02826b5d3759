"""Every setting that cannot work is refused, by name, before anything is compiled."""

import dataclasses

import jax
from absl.testing import parameterized

from common import history as history_lib
from common import regression_targets as targets
from common import spaces
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import search

CONVNET = spaces.get("convnet")


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters((name, name) for name in configs.PRESETS)
    def test_presets_are_valid(self, name):
        configs.validate(configs.PRESETS[name])

    def test_node_counts(self):
        config = configs.Config(height=5)
        assert (config.num_inner, config.num_nodes) == (15, 31)

    @parameterized.parameters(
        ("regressor", configs.REGRESSORS),
        ("features", configs.FEATURES),
        ("target", targets.TARGETS),
        ("prior", configs.PRIORS),
        ("threshold", configs.THRESHOLDS),
        ("train_routing", configs.ROUTINGS),
        ("exploration_scale", configs.EXPLORATION_SCALES),
        ("ucb", configs.UCBS),
        ("reset", configs.RESETS),
        ("sampler", configs.SAMPLERS),
        ("acquisition", configs.ACQUISITIONS),
    )
    def test_unknown_names(self, field, allowed):
        with self.assertRaisesRegex(ValueError, f"{field} is 'other'; choose one of {', '.join(allowed)}"):
            configs.validate(configs.Config(**{field: "other"}))

    @parameterized.parameters(
        "height",
        "num_initial",
        "num_select",
        "count",
        "min_samples",
        "num_candidates",
        "max_batches",
        "walk_steps",
        "adam_steps_first",
        "adam_steps",
    )
    def test_numbers_below_one(self, field):
        with self.assertRaisesRegex(ValueError, f"{field} is 0; it must be at least 1"):
            configs.validate(dataclasses.replace(configs.Config(), **{field: 0}))

    @parameterized.parameters(
        ({"height": 17}, "height is 17; at most 16"),
        ({"count": 6, "num_select": 5}, "count is 6, above num_select, 5"),
        ({"ridge": -1.0}, "ridge is -1.0; it must be at least 0"),
        ({"ridge": float("nan")}, "ridge is nan"),
        ({"temperature": -0.5}, "temperature is -0.5"),
        ({"exploration": -0.1}, "exploration is -0.1"),
        ({"ridge": 0.0}, "ridge is 0; .* take a small one"),
        ({"sampler": "hit_and_run"}, "features must be 'one_hot'; got 'space'"),
        ({"temperature": 0.0, "acquisition": "tempered"}, "temperature is 0; take the greedy"),
    )
    def test_what_does_not_go_together(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            configs.validate(configs.Config(**changes))

    def test_what_is_not_needed_is_not_checked(self):
        configs.validate(configs.Config(ridge=0.0, regressor="adam"))
        configs.validate(configs.Config(temperature=0.0))

    def test_searcher_checks_its_config(self):
        with self.assertRaisesRegex(ValueError, "height is 0"):
            search.searcher(CONVNET, configs.Config(height=0))

    @parameterized.parameters(
        ({"num_initial": 21, "height": 2}, "budget is 20, below num_initial, 21"),
        ({"num_initial": 5, "height": 6}, "height 6 makes 32 leaves, more than the budget of 20; .* at most 5"),
    )
    def test_settings_that_do_not_suit_the_budget(self, changes, message):
        searcher = search.searcher(CONVNET, configs.Config(**changes))
        with self.assertRaisesRegex(ValueError, message):
            searcher.init(jax.random.key(0), history_lib.empty(20, 5))

    def test_the_greatest_height_of_a_budget(self):
        history = history_lib.empty(20, 5)
        state = search.searcher(CONVNET, configs.Config(height=5)).init(jax.random.key(0), history)
        assert state.tree.bias.shape == (31,)

    def test_a_space_that_cannot_be_listed_needs_a_pool(self):
        huge = factory.search_space("huge", (6,) * 20, size=6**20, describe=str)._replace(enumerate=None)
        with self.assertRaisesRegex(ValueError, "huge has .* 'reject' or 'walk', or give a pool"):
            search.searcher(huge)
        search.searcher(huge, configs.Config(sampler="reject"))
        search.searcher(huge, pool=huge.sample(jax.random.key(0), 30))
