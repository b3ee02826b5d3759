"""Convolutional spaces of NAO against published architectures and values computed by hand."""

import math

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.spaces import nao_cnn

NAONET_A = (
    "0 7 1 15 2 8 1 7 0 6 1 7 0 8 4 7 1 5 0 7 0 7 1 13 0 6 0 14 0 9 1 10 0 14 2 6 1 11 0 7"  # of NAO's PyTorch program
)
NAONET_TOKENS = (
    "1 9 16 2 11 17 3 9 19 2 9 16 1 9 14 2 9 16 1 9 19 5 9 16 2 7 14 1 9 16 "
    "1 9 16 2 11 15 1 9 14 1 11 16 1 9 20 2 12 15 1 11 16 3 9 14 2 12 16 1 9 16"
)
STRINGS = {  # of nao_small
    "nao_ws": "0 1 0 4 2 2 1 3 1 0 2 0 2 3 1 3 1 2 0 4 1 1 0 3 2 3 2 3 1 0 0 1 0 4 2 4 2 3 2 3",
    "naonet_b": "0 1 0 2 0 1 2 2 1 3 0 2 4 0 1 3 2 1 0 3 1 1 1 0 2 1 2 4 1 0 2 3 3 1 2 2 0 2 0 2",
    "naonet_v2": "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1",
}
TOKENS = {
    "nao_ws": "1 8 1 11 3 9 2 10 2 7 3 7 3 10 2 10 2 9 1 11 2 8 1 10 3 10 3 10 2 7 1 8 1 11 3 11 3 10 3 10",
    "naonet_b": "1 8 1 9 1 8 3 9 2 10 1 9 5 7 2 10 3 8 1 10 2 8 2 7 3 8 3 11 2 7 3 10 4 8 3 9 1 9 1 9",
    "naonet_v2": "2 8 1 8 3 11 1 7 1 7 3 8 1 7 1 9 1 10 1 7 1 9 1 9 3 9 2 7 1 7 1 8 1 7 1 10 1 7 1 8",
}


def integers(text):
    return [int(word) for word in text.split()]


def legal(space, position, previous=0):
    return np.flatnonzero(spaces.get(space).legal_tokens[position, previous]).tolist()


class ConvolutionalTest(parameterized.TestCase):
    @parameterized.parameters(*STRINGS)
    def test_published_strings_and_their_tokens(self, name):
        row = nao_cnn.from_string(STRINGS[name], "nao_small")
        assert (row.dtype, row.tolist()) == (np.int32, integers(STRINGS[name]))
        assert spaces.get("nao_small").tokens(row[None])[0].tolist() == integers(TOKENS[name])
        assert nao_cnn.to_string(row, "nao_small") == STRINGS[name]

    def test_naonet(self):
        space, first_id = spaces.get("nao_large"), nao_cnn.NAONET_A_FIRST_ID
        row = nao_cnn.from_string(NAONET_A, "nao_large", first_id=first_id)
        assert space.tokens(row[None])[0].tolist() == integers(NAONET_TOKENS)
        assert nao_cnn.to_string(row, "nao_large", first_id=first_id) == NAONET_A
        features = np.asarray(jax.jit(space.features)(row[None])).reshape(2, -1)
        # Loose ends among states 0 to 5; 6, the last node, always is one.
        np.testing.assert_array_equal(features[:, 306:312], [[0, 0, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]])
        # Uses of identity, four convolutions, three maximum and three average poolings.
        uses = [[1, 1, 5, 2, 0, 0, 0, 0, 0, 0, 1], [0, 2, 2, 0, 1, 1, 1, 0, 1, 2, 0]]
        np.testing.assert_array_equal(features[:, 295:306], uses)
        tokens = np.array([integers(NAONET_TOKENS)] * 2, np.int32)
        tokens[1, 5] = 14  # average pooling 1x1 is no operation
        np.testing.assert_array_equal(space.is_valid(space.from_tokens(tokens)), [True, False])

    def test_all_eleven_operations_as_kind_and_kernel(self):
        pairs = {}
        for at, name in enumerate(nao_cnn.OPERATIONS["nao_large"]):
            tokens = spaces.get("nao_large").tokens(np.full((1, 40), at, np.int32))
            pairs[name] = tuple(np.asarray(tokens)[0, 1:3].tolist())
        assert pairs == {
            "identity": (7, 14),
            **{"conv_1x1": (9, 14), "conv_3x3": (9, 16), "conv_1x3_3x1": (9, 19), "conv_1x7_7x1": (9, 20)},
            **{"max_pool_2x2": (12, 15), "max_pool_3x3": (12, 16), "max_pool_5x5": (12, 17)},
            **{"avg_pool_2x2": (11, 15), "avg_pool_3x3": (11, 16), "avg_pool_5x5": (11, 17)},
        }

    @parameterized.parameters(
        # (55 * 120 * 210 * 325 * 465)^2 networks of two cells; the papers count branches in order.
        ("nao_small", 43_873_177_410_562_500_000_000, 25_628_906_250_000_000_000_000_000, "2.56e+25"),
        ("nao_middle", (210 * 465 * 820 * 1275 * 1830) ** 2, (20 * 30 * 40 * 50 * 60) ** 4, "2.69e+31"),
        ("nao_large", (253 * 561 * 990 * 1540 * 2211) ** 2, (22 * 33 * 44 * 55 * 66) ** 4, "1.81e+32"),
    )
    def test_size(self, name, num_networks, num_writings, published):
        assert spaces.get(name).size == num_networks
        assert (math.prod(nao_cnn.layout(name).num_choices), f"{num_writings:.2e}") == (num_writings, published)
        assert spaces.get(name).enumerate is None

    def test_branches_change_places_by_hand(self):
        first, second = spaces.get("nao_small").symmetries
        assert first.shape == second.shape == (5, 40)
        assert first[0].tolist() == [2, 3, 0, 1, *range(4, 40)]
        assert second[4].tolist() == [*range(36), 38, 39, 36, 37]
        first, second = spaces.get("nao_large").symmetries
        assert first.shape == second.shape == (5, 60)
        assert first[1].tolist() == [*range(6), 9, 10, 11, 6, 7, 8, *range(12, 60)]
        assert second[0].tolist() == [*range(30), 33, 34, 35, 30, 31, 32, *range(36, 60)]

    def test_canonical_row_by_hand(self):
        row = nao_cnn.from_string(STRINGS["naonet_v2"], "nao_small")
        expected = "0 1 1 1 0 0 2 4 0 0 2 1 0 0 0 2 0 0 0 3 0 2 0 2 1 0 2 2 0 0 0 1 0 0 0 3 0 0 0 1"
        canonical = jax.jit(spaces.get("nao_small").canonicalize)(row[None])[0]
        assert canonical.tolist() == integers(expected)

    def test_legal_tokens_of_sixty(self):
        assert spaces.get("nao_large").legal_tokens.shape == (60, 21, 21)
        inputs = [[*range(1, node + 3)] for node in range(5) for _ in range(2)] * 2
        assert [legal("nao_large", position, 17) for position in range(0, 60, 3)] == inputs
        assert [legal("nao_large", position, 1) for position in range(1, 60, 3)] == [[7, 9, 11, 12]] * 20
        kernels = {7: [14], 9: [14, 16, 19, 20], 11: [15, 16, 17], 12: [15, 16, 17]}
        for position in range(2, 60, 3):
            assert {kind: legal("nao_large", position, kind) for kind in kernels} == kernels

    @parameterized.parameters(
        ("0 1 0 4", "write 40 integers; got 4"),
        (STRINGS["nao_ws"][:-1] + "5", r"40 of 40 \(reduction cell, node 4, operation of branch 1.* is 5.* 0 to 4"),
        ("-1" + STRINGS["nao_ws"][1:], r"integer 1 of 40 .* is -1; allowed are 0 to 1"),
        (STRINGS["nao_ws"].replace("4", "max", 1), "part 4 of .*'max', is not an integer"),
    )
    def test_says_what_is_wrong(self, text, message):
        with pytest.raises(ValueError, match=message):
            nao_cnn.from_string(text, "nao_small")
