"""The cells of one-shot LaNAS: rows, masks, and the released search."""

import os
import pathlib

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.spaces import lanas_oneshot

SPACE = spaces.get("lanas_oneshot")
NUM_BITS = (8, 12, 16, 20, 24)
# Of each cell and node the two bits that are set, counted within the node.
BITS = ((0, 7), (2, 3), (4, 15), (1, 16), (20, 23), (5, 6), (0, 11), (8, 9), (3, 19), (2, 22))


def mask_of(bits):
    mask = []
    for size, at in zip(NUM_BITS * 2, bits, strict=True):
        mask += [int(bit in at) for bit in range(size)]
    return np.array([mask])


class OneShotTest(parameterized.TestCase):
    def test_size_is_that_of_the_masks(self):
        assert 28 * 66 * 120 * 190 * 276 == 11_629_094_400
        assert SPACE.size == 11_629_094_400**2 == 135_235_836_564_111_360_000
        assert SPACE.num_choices == (2, 4, 2, 4, 3, 4, 3, 4, 4, 4, 4, 4, 5, 4, 5, 4, 6, 4, 6, 4) * 2

    def test_mask_by_hand(self):
        row = lanas_oneshot.from_mask(mask_of(BITS))[0]
        assert (row[:8].tolist(), row[-4:].tolist()) == ([0, 0, 1, 3, 0, 2, 0, 3], [0, 2, 5, 2])
        assert SPACE.describe(row).startswith(
            "normal: 2=max_pool_3x3(0)+sep_conv_5x5(1) 3=sep_conv_3x3(0)+sep_conv_5x5(0) "
        )
        np.testing.assert_array_equal(lanas_oneshot.to_mask(row[None]), mask_of(BITS))
        # The first bit is the maximum over input 0 in node 0 of the normal cell, the last sep_conv_5x5 of node 3.
        assert np.flatnonzero(mask_of(BITS))[[0, 1, 2, -1]].tolist() == [0, 7, 10, 158]

    def test_both_orders_of_branches_have_one_mask(self):
        archs = np.asarray(SPACE.sample(jax.random.key(0), 50))
        swapped = archs.reshape(50, 10, 2, 2)[:, :, ::-1].reshape(50, 40)
        masks = np.asarray(jax.jit(lanas_oneshot.to_mask)(swapped))
        assert masks.shape == (50, 160)
        np.testing.assert_array_equal(lanas_oneshot.from_mask(masks), archs)

    def test_a_node_adds_up_two_different_pairs(self):
        rows = np.repeat(lanas_oneshot.from_mask(mask_of(BITS)), 2, axis=0)
        rows[1, 2:4] = rows[1, :2]
        np.testing.assert_array_equal(SPACE.is_valid(rows), [True, False])

    @parameterized.parameters(
        (mask_of((*BITS[:-1], (2,))), "reduction cell, node 4 has 1 bits set among its 24 .bits 136 to 159.; set"),
        (mask_of(BITS)[:, :-1], r"shape \(any, 160\); got \(1, 159\)"),
        (mask_of(BITS) * 2, "bit 0 of mask 0 is 2; masks of lanas_oneshot hold zeros and ones"),
    )
    def test_says_what_is_wrong(self, mask, message):
        with pytest.raises(ValueError, match=message):
            lanas_oneshot.from_mask(mask)

    def test_released_search(self):
        default = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
        path = pathlib.Path(os.environ.get("NAS_DATA_DIR", default)) / "lanas_traces" / "oneshot_result.npz"
        if not path.exists():
            self.skipTest(f"no {path}; set NAS_DATA_DIR to the folder that holds it")
        with np.load(path) as trace:
            masks = trace["encoding"].astype(np.int32)
        rows = lanas_oneshot.from_mask(masks)
        assert rows.shape == (3776, 40)
        assert np.all(SPACE.is_valid(rows))
        np.testing.assert_array_equal(jax.jit(SPACE.canonicalize)(rows), rows)
        np.testing.assert_array_equal(jax.jit(lanas_oneshot.to_mask)(rows), masks)
