"""The mobile space in the manner of Once-for-all."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import spaces
from common.spaces import ofa_mobile

SPACE = spaces.get("ofa_mobile")
STAGES = (
    (0, (0, 1, 2, 2)),
    (2, (1, 0, 1, 1, 0, 2, 2, 0)),
    (1, (0, 0, 0, 0, 1, 2)),
    (0, (2, 2, 2, 1)),
    (0, (0, 0, 0, 0)),
)


def row_of(resolution, stages, unused=0):
    """A row whose blocks beyond the depths have the choices `unused`."""
    row = [resolution]
    for depth, blocks in stages:
        row += [depth, *blocks, *[unused] * (8 - len(blocks))]
    return np.array(row, np.int32)


class MobileTest(chex.TestCase):
    def test_size(self):
        assert len(ofa_mobile.RESOLUTIONS) == 25
        assert 9**2 + 9**3 + 9**4 == 7371
        assert SPACE.size == 25 * 7371**5 == 543_966_387_314_312_146_275
        assert SPACE.num_choices == (25, *(3,) * 45)

    def test_blocks_beyond_the_depth_make_no_difference(self):
        rows = np.stack([row_of(12, STAGES, unused) for unused in range(3)])
        np.testing.assert_array_equal(SPACE.canonicalize(rows), np.tile(rows[:1], (3, 1)))
        features = np.asarray(SPACE.features(rows))
        np.testing.assert_array_equal(features, np.tile(features[:1], (3, 1)))
        assert {SPACE.describe(row) for row in rows} == {
            "176 px | mb4_k3 mb6_k7 | mb3_k5 mb4_k5 mb6_k3 mb3_k7 | mb3_k3 mb3_k3 mb6_k5 | "
            "mb6_k7 mb4_k7 | mb3_k3 mb3_k3"
        }

    @chex.variants(with_jit=True, without_jit=True)
    def test_features_by_hand(self):
        features = np.asarray(self.variant(SPACE.features)(jnp.asarray(row_of(12, STAGES)[None])))[0]
        assert features.shape == (167,)
        np.testing.assert_allclose(features[:2], [0.5, 0.25], rtol=1e-6)
        np.testing.assert_array_equal(features[2:8], [1, 0, 0, 0, 0, 1])
        # The first stage: kernel 3 and expansion 4, kernel 7 and expansion 6, no third and fourth block.
        first = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]
        np.testing.assert_array_equal(features[17:41], first + [0] * 12)
        np.testing.assert_array_equal(features[137:149], [0.5, 0, 0.5, 0, 0.5, 0.5, 0.5, 1, 0.5, 1, 0.5, 0.5])

    def test_a_deeper_stage_starts_with_the_first_kind_of_block(self):
        around, is_new = jax.jit(SPACE.neighbors)(row_of(12, STAGES)[None])
        found = np.asarray(around[0])[np.asarray(is_new[0])]
        # 24 other resolutions; 2 other depths of each stage; 2 kernels and 2 expansions of each of 13 blocks.
        assert len(found) == 24 + 5 * 2 + 13 * 4
        deeper = row_of(12, ((1, (0, 1, 2, 2, 0, 0)), *STAGES[1:]))
        assert (found == deeper).all(axis=1).sum() == 1
