"""Mobile spaces of Once-for-all and SemiNAS, with the published network."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.spaces import ofa_mobile, seminas_mobile

OFA, SEMINAS = spaces.get("ofa_mobile"), spaces.get("seminas_mobile")
SEMINASNET = "6 5 1 7 4 2 5 3 5 2 5 3 3 5 7 3 1 6 3 3 6"
STAGES = (
    *((0, (0, 1, 2, 2)), (2, (1, 0, 1, 1, 0, 2, 2, 0)), (1, (0, 0, 0, 0, 1, 2))),
    *((0, (2, 2, 2, 1)), (0, (0, 0, 0, 0))),
)


def row_of(resolution, stages, unused=0):
    """A row whose blocks beyond the depths have the choices `unused`."""
    row = [resolution]
    for depth, blocks in stages:
        row += [depth, *blocks, *[unused] * (8 - len(blocks))]
    return np.array(row, np.int32)


class OnceForAllTest(chex.TestCase):
    def test_size(self):
        assert (len(ofa_mobile.RESOLUTIONS), 9**2 + 9**3 + 9**4) == (25, 7371)
        assert OFA.size == 25 * 7371**5 == 543_966_387_314_312_146_275
        assert OFA.num_choices == (25, *(3,) * 45)

    def test_blocks_beyond_the_depth_make_no_difference(self):
        rows = np.stack([row_of(12, STAGES, unused) for unused in range(3)])
        np.testing.assert_array_equal(OFA.canonicalize(rows), np.tile(rows[:1], (3, 1)))
        features = np.asarray(OFA.features(rows))
        np.testing.assert_array_equal(features, np.tile(features[:1], (3, 1)))
        assert {OFA.describe(row) for row in rows} == {
            "176 px | mb4_k3 mb6_k7 | mb3_k5 mb4_k5 mb6_k3 mb3_k7 | mb3_k3 mb3_k3 mb6_k5 | "
            "mb6_k7 mb4_k7 | mb3_k3 mb3_k3"
        }

    @chex.variants(with_jit=True, without_jit=True)
    def test_features_by_hand(self):
        features = np.asarray(self.variant(OFA.features)(jnp.asarray(row_of(12, STAGES)[None])))[0]
        assert features.shape == (167,)
        np.testing.assert_allclose(features[:2], [0.5, 0.25], rtol=1e-6)
        np.testing.assert_array_equal(features[2:8], [1, 0, 0, 0, 0, 1])
        # The first stage: kernel 3 and expansion 4, kernel 7 and expansion 6, no third and fourth block.
        first = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]
        np.testing.assert_array_equal(features[17:41], first + [0] * 12)
        np.testing.assert_array_equal(features[137:149], [0.5, 0, 0.5, 0, 0.5, 0.5, 0.5, 1, 0.5, 1, 0.5, 0.5])

    def test_a_deeper_stage_starts_with_the_first_kind_of_block(self):
        around, is_new = jax.jit(OFA.neighbors)(row_of(12, STAGES)[None])
        found = np.asarray(around[0])[np.asarray(is_new[0])]
        # 24 other resolutions; 2 other depths of each stage; 2 kernels and 2 expansions of each of 13 blocks.
        assert len(found) == 24 + 5 * 2 + 13 * 4
        deeper = row_of(12, ((1, (0, 1, 2, 2, 0, 0)), *STAGES[1:]))
        assert (found == deeper).all(axis=1).sum() == 1


class SemiNasTest(parameterized.TestCase):
    def test_seminasnet(self):
        row = seminas_mobile.from_string(SEMINASNET)
        assert SEMINAS.tokens(row[None])[0].tolist() == [*map(int, SEMINASNET.split())]
        assert seminas_mobile.to_string(row) == SEMINASNET
        text = SEMINAS.describe(row)
        assert text.startswith("mb6_k7 mb3_k7 mb3_k3 zero | mb6_k5 mb6_k3 mb3_k7 mb3_k5 | ")
        assert text.endswith(" | mb6_k7")

    @parameterized.parameters(
        ("1 7 7 2 3 7 4 5 6 5 7 4 1 7 7 7 1 7 2 7 6", "1 2 7 7 3 4 5 7 6 5 4 7 1 7 7 7 1 2 7 7 6"),
        (SEMINASNET, "6 5 1 7 4 2 5 3 5 2 5 3 3 5 3 7 1 6 3 3 6"),
    )
    def test_zeros_are_last_in_their_stage(self, text, expected):
        canonical = SEMINAS.canonicalize(seminas_mobile.from_string(text)[None])[0]
        assert seminas_mobile.to_string(canonical) == expected

    def test_size_and_legal_tokens(self):
        # A stage has 6 + 6^2 + 6^3 + 6^4 forms, the last one 6.
        assert SEMINAS.size == 1554**5 * 6 == 54_375_883_032_510_144
        assert SEMINAS.legal_tokens.shape == (21, 8, 8)
        for position, legal in enumerate(SEMINAS.legal_tokens[:, 7]):
            assert np.flatnonzero(legal).tolist() == [*range(1, 7 if position % 4 == 0 else 8)]

    def test_says_what_is_wrong(self):
        message = r"5 of 21 \(block 0 of stage 1, which cannot be left out\) is 7; allowed are 1 to 6"
        with pytest.raises(ValueError, match=message):
            seminas_mobile.from_string(SEMINASNET.replace("7 4", "7 7", 1))
