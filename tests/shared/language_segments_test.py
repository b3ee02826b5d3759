"""How an epoch is cut into pieces."""

import chex
import jax
import numpy as np
from absl.testing import parameterized

from common.language import config as configs
from common.language import segments

KEY = jax.random.key(0)


class PiecesTest(chex.TestCase):
    @parameterized.parameters(2, 3, 36, 37, 1000)
    def test_pieces_cover_the_text_once(self, num_rows):
        got = segments.cut(KEY, 0, num_rows, configs.Chunks())
        assert got.starts.dtype == got.lengths.dtype == np.int32
        assert got.starts[0] == 0
        np.testing.assert_array_equal(got.starts[1:], np.cumsum(got.lengths)[:-1])
        assert got.lengths.sum() == num_rows - 1
        assert got.lengths.min() >= 1

    def test_published_lengths(self):
        lengths = segments.cut(KEY, 3, 1_000_000, configs.Chunks()).lengths[:-1]
        assert lengths.min() == 5
        assert 52 <= lengths.max() <= 55
        is_short = lengths < 22  # more than 2.6 standard deviations below 35, and 0.9 above 17.5
        assert abs(is_short.mean() - 0.05 * 0.84) < 0.01
        long = lengths[~is_short]
        assert abs(np.median(long) - 34.5) < 1
        assert abs(long.std() - 5) < 0.3

    def test_lengths_follow_from_key_and_epoch(self):
        first, again, other = (segments.cut(KEY, epoch, 500, configs.Chunks()).lengths.tolist() for epoch in (1, 1, 2))
        assert first == again
        assert first != other

    def test_all_of_one_length(self):
        config = configs.Chunks(bptt=35, short_share=0.0, bptt_deviation=0.0)
        np.testing.assert_array_equal(segments.cut(KEY, 0, 100, config).lengths, [35, 35, 29])
        assert segments.sizes(config) == (35,)

    def test_two_lengths_without_deviation(self):
        config = configs.Chunks(short_share=0.5, bptt_deviation=0.0)
        assert set(segments.cut(KEY, 0, 2000, config).lengths[:-1].tolist()) == {17, 35}

    def test_sizes_waste_little(self):
        config = configs.Chunks()
        sizes = np.array(segments.sizes(config))
        np.testing.assert_array_equal(sizes, [35, 40, 55])
        lengths = segments.cut(KEY, 0, 1_000_000, config).lengths
        filled = sizes[np.searchsorted(sizes, lengths)]
        assert np.all(filled >= lengths)
        assert 1.14 < filled.sum() / lengths.sum() < 1.18

    def test_padded(self):
        rows = np.arange(6, dtype=np.int32).reshape(3, 2)
        got = np.asarray(segments.prepare(np.array([0, 2, 4, 1, 3, 5]), 2, configs.Chunks()).tokens)
        assert got.shape == (58, 2)
        np.testing.assert_array_equal(got[:3], rows)

    def test_bounds_must_enclose_the_mean(self):
        for fields in ({"bptt_min": 36}, {"bptt_max": 34}):
            with self.assertRaisesRegex(ValueError, "bptt must be from bptt_min to bptt_max; got .*bptt=35"):
                configs.Chunks(**fields)
