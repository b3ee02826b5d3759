"""Settings that are inconsistent, or do not fit the budget or the space, raise before anything is compiled."""

import jax
from absl.testing import parameterized

from common import history as history_lib
from common import spaces
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import search

CONVNET = spaces.get("convnet")


class ConfigTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"count": 6, "num_select": 5}, r"count must be at most num_select \(5\).*; got 6"),
        ({"ridge": 0.0}, "ridge must be above 0 unless the regressor is adam"),
        ({"sampler": "hit_and_run", "regressor": "ridge"}, "'hit_and_run' requires features 'one_hot'; got 'space'"),
        ({"acquisition": "thompson"}, "regressor 'kernel' allows neither acquisition 'thompson' nor"),
        ({"temperature": 0.0, "acquisition": "tempered"}, "temperature must be above 0 .* use 'greedy'"),
    )
    def test_fields_that_do_not_suit_each_other(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            configs.Config(**changes)

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
        state = jax.eval_shape(search.searcher(CONVNET, configs.Config(height=5)).init, jax.random.key(0), history)
        assert state.tree.bias.shape == (31,)

    def test_a_space_that_cannot_be_listed_needs_a_pool(self):
        huge = factory.search_space("huge", (6,) * 20, size=6**20, describe=str)._replace(enumerate=None)
        with self.assertRaisesRegex(
            ValueError, "huge lists no networks .its factory takes enumerate_rows.* 'reject' or 'walk', or give a pool"
        ):
            search.searcher(huge)
        search.searcher(huge, configs.Config(sampler="reject"))
        search.searcher(huge, pool=huge.sample(jax.random.key(0), 30))
