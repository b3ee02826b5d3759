"""The mobile space of SemiNAS against its published network."""

import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.spaces import seminas_mobile

SPACE = spaces.get("seminas_mobile")
SEMINASNET = "6 5 1 7 4 2 5 3 5 2 5 3 3 5 7 3 1 6 3 3 6"


def integers(text):
    return [int(word) for word in text.split()]


def legal(position, previous=0):
    return np.flatnonzero(SPACE.legal_tokens[position, previous]).tolist()


def both_ways(row):
    """The tokens of a row, after a look at the way back."""
    tokens = np.asarray(SPACE.tokens(row[None]))
    np.testing.assert_array_equal(SPACE.from_tokens(tokens)[0], row)
    return tokens[0].tolist()


class MobileTest(parameterized.TestCase):
    def test_seminasnet(self):
        row = seminas_mobile.from_string(SEMINASNET)
        assert both_ways(row) == integers(SEMINASNET)
        assert seminas_mobile.to_string(row) == SEMINASNET
        text = SPACE.describe(row)
        assert text.startswith("mb6_k7 mb3_k7 mb3_k3 zero | mb6_k5 mb6_k3 mb3_k7 mb3_k5 | ")
        assert text.endswith(" | mb6_k7")
        # A block left out of the fourth stage: the others move up.
        canonical = SPACE.canonicalize(row[None])[0]
        assert (canonical + 1).tolist() == integers("6 5 1 7 4 2 5 3 5 2 5 3 3 5 3 7 1 6 3 3 6")

    def test_zeros_are_last_in_their_stage(self):
        text = "1 7 7 2 3 7 4 5 6 5 7 4 1 7 7 7 1 7 2 7 6"
        canonical = SPACE.canonicalize(seminas_mobile.from_string(text)[None])[0]
        assert seminas_mobile.to_string(canonical) == "1 2 7 7 3 4 5 7 6 5 4 7 1 7 7 7 1 2 7 7 6"

    def test_size_and_legal_tokens(self):
        # A stage has 6 + 6^2 + 6^3 + 6^4 forms, the last one 6.
        assert SPACE.size == 1554**5 * 6 == 54_375_883_032_510_144
        assert SPACE.legal_tokens.shape == (21, 8, 8)
        for position in range(21):
            assert legal(position, 7) == [*range(1, 7 if position % 4 == 0 else 8)]

    @parameterized.parameters(
        (SEMINASNET[2:], "write 21 integers; got 20"),
        (
            SEMINASNET.replace("7 4", "7 7", 1),
            r"5 of 21 \(block 0 of stage 1, which cannot be left out\) is 7.* 1 to 6",
        ),
        (SEMINASNET.replace("6 5", "6 0", 1), r"integer 2 of 21 \(block 1 of stage 0\) is 0; allowed are 1 to 7"),
    )
    def test_says_what_is_wrong(self, text, message):
        with pytest.raises(ValueError, match=message):
            seminas_mobile.from_string(text)
