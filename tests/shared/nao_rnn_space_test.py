"""NAO's recurrent cell space: the two published cells and their tokens."""

import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.spaces import nao_rnn

SPACE = spaces.get("nao_rnn")
RNN = "0 1 0 1 1 1 3 0 4 1 4 1 5 1 1 1 7 1 1 1 1 2"
RNN_WS = "0 1 1 1 2 2 1 2 4 1 4 1 4 1 7 1 8 2 1 0 4 1"


def integers(text):
    return [int(word) for word in text.split()]


def legal(position, previous=0):
    return np.flatnonzero(SPACE.legal_tokens[position, previous]).tolist()


class RecurrentTest(parameterized.TestCase):
    def test_published_cells_and_their_tokens(self):
        row = nao_rnn.from_string(RNN, convention="nao")
        assert SPACE.tokens(row[None])[0].tolist() == integers("1 13 1 13 2 13 4 12 5 13 5 13 6 13 2 13 8 13 2 13 2 14")
        shared = nao_rnn.from_string(RNN_WS, convention="nao_ws")
        published = integers("1 13 2 13 3 14 2 14 5 13 5 13 5 13 8 13 9 14 2 12 5 13")
        # There 14 is the sigmoid and 15 the identity; one space has one vocabulary.
        assert SPACE.tokens(shared[None])[0].tolist() == [{14: 15, 15: 14}.get(token, token) for token in published]

    def test_the_same_string_is_two_cells(self):
        describe = SPACE.describe
        cell = "1=relu(0) 2=relu(0) 3=relu(1) 4=tanh(3) 5=relu(4) 6=relu(4) 7=relu(5) 8=relu(1) 9=relu(7) 10=relu(1)"
        assert describe(nao_rnn.from_string(RNN, convention="nao")) == f"{cell} 11=identity(1)"
        assert describe(nao_rnn.from_string(RNN, convention="nao_ws")) == f"{cell} 11=sigmoid(1)"
        assert describe(nao_rnn.from_string(RNN_WS, convention="nao_ws")) == (
            "1=relu(0) 2=relu(1) 3=sigmoid(2) 4=sigmoid(1) 5=relu(4) 6=relu(4) 7=relu(4) 8=relu(7) 9=sigmoid(8) "
            "10=tanh(1) 11=relu(4)"
        )

    def test_size_and_legal_tokens(self):
        assert SPACE.size == 39_916_800 * 4**11 == 167_423_193_907_200
        assert SPACE.enumerate is None
        assert (SPACE.symmetries, SPACE.legal_tokens.shape) == ((), (22, 16, 16))
        for previous in range(16):
            assert [legal(2 * i, previous) for i in range(11)] == [[*range(1, i + 2)] for i in range(11)]
            assert [legal(2 * i + 1, previous) for i in range(11)] == [[12, 13, 14, 15]] * 11

    @parameterized.parameters(
        ("1" + RNN[1:], "nao", r"integer 1 of 22 \(state that node 1 reads\) is 1; allowed are 0 to 0"),
        (RNN[:-1] + "4", "nao", r"22 of 22 \(activation of node 11: tanh, relu, identity, sigmoid\) is 4.* 0 to 3"),
        (RNN, "pytorch", "unknown convention 'pytorch'.*choose one of nao, nao_ws"),
    )
    def test_raises(self, text, convention, message):
        with pytest.raises(ValueError, match=message):
            nao_rnn.from_string(text, convention=convention)
