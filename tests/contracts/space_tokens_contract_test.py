"""What every search space promises of its tokens, over all of `common.spaces.SPACES`."""

import functools
import itertools

import jax
import numpy as np
from absl.testing import parameterized

from common import spaces

NUM_ROWS = 64


def _each_space(which=lambda space: True):
    """Runs a test once for each space of a kind."""
    return parameterized.named_parameters(item for item in spaces.SPACES.items() if which(item[1]))


@functools.cache
def _compiled(name, function):
    """A function of a space under `jit`, once for all tests and, padded, for all numbers of rows."""
    compiled = jax.jit(getattr(spaces.SPACES[name], function))
    size = 4 * NUM_ROWS

    def run(rows):
        return np.asarray(compiled(np.resize(rows, (size, rows.shape[1]))))[: len(rows)]

    return run


@functools.cache
def _sampled(name):
    return np.asarray(jax.jit(spaces.SPACES[name].sample, static_argnums=1)(jax.random.key(0), NUM_ROWS))


def _raw(space):
    """Valid rows that are not canonical yet: uniform choices, the valid ones of them."""
    raw = np.random.default_rng(6).integers(0, space.num_choices, (4 * NUM_ROWS, len(space.num_choices)))
    raw = raw.astype(np.int32)[_compiled(space.name, "is_valid")(raw.astype(np.int32))]
    assert len(raw) > 0
    return raw


def _assert_legal(space, tokens):
    tokens = np.asarray(tokens)
    assert tokens.shape[1:] == space.legal_tokens.shape[:1]
    previous = np.pad(tokens[:, :-1], ((0, 0), (1, 0)))
    assert np.all(space.legal_tokens[np.arange(tokens.shape[1])[None], previous, tokens])


def _random_legal_tokens(space, rng, count):
    """Sequences as a decoder writes them: at each position one of the tokens legal there, all equally likely."""
    tokens = np.zeros((count, len(space.legal_tokens) + 1), np.int32)  # the start symbol, then the sequence
    for position, legal in enumerate(space.legal_tokens):
        scores = np.where(legal[tokens[:, position]], rng.random((count, legal.shape[1])), -1.0)
        tokens[:, position + 1] = np.argmax(scores, axis=1)
    return tokens[:, 1:]


class TokensTest(parameterized.TestCase):
    @_each_space()
    def test_tokens_are_legal_and_lead_back(self, space):
        archs = _sampled(space.name)
        tokens = _compiled(space.name, "tokens")(archs)
        assert tokens.dtype == np.int32
        _assert_legal(space, tokens)
        back = _compiled(space.name, "from_tokens")(tokens)
        assert back.dtype == np.int32
        np.testing.assert_array_equal(back, archs)

    @_each_space()
    def test_tokens_of_rows_that_are_not_canonical_lead_to_the_same_network(self, space):
        raw = _raw(space)
        tokens = _compiled(space.name, "tokens")(raw)
        _assert_legal(space, tokens)
        canonicalize = _compiled(space.name, "canonicalize")
        back = _compiled(space.name, "from_tokens")(tokens)
        np.testing.assert_array_equal(canonicalize(back), canonicalize(raw))

    @_each_space()
    def test_legal_tokens_never_run_out_and_do_not_start_again(self, space):
        legal = space.legal_tokens
        assert isinstance(legal, np.ndarray)
        assert legal.dtype == bool
        assert legal.ndim == 3
        assert legal.shape[1] == legal.shape[2]
        assert np.all(legal.any(axis=2)), "a position where, after some token, none is legal"
        assert legal[:, :, -1].any(), "the vocabulary is larger than need be"
        # Where the start symbol may stand it is padding, after which there is nothing else.
        assert not legal[0, 0, 0]
        for position in range(1, len(legal)):
            if legal[position - 1, :, 0].any():
                assert not legal[position, 0, 1:].any()

    @_each_space()
    def test_random_legal_sequences_are_rows_in_range(self, space):
        tokens = _random_legal_tokens(space, np.random.default_rng(0), 4 * NUM_ROWS)
        archs = _compiled(space.name, "from_tokens")(tokens)
        assert np.all((archs >= 0) & (archs < np.array(space.num_choices)))
        assert len(np.unique(archs, axis=0)) > NUM_ROWS
        archs = archs[_compiled(space.name, "is_valid")(archs)]
        assert len(archs) > 0
        canonicalize = _compiled(space.name, "canonicalize")
        again = _compiled(space.name, "from_tokens")(_compiled(space.name, "tokens")(archs))
        np.testing.assert_array_equal(canonicalize(again), canonicalize(archs))

    @_each_space(lambda space: space.symmetries)
    def test_symmetries_lead_to_other_writings_of_the_same_network(self, space):
        archs = _sampled(space.name)
        tokens = _compiled(space.name, "tokens")(archs)
        assert isinstance(space.symmetries, tuple)
        for group in space.symmetries:
            assert group.dtype == np.int32
            assert group.shape[1:] == tokens.shape[1:]
            for row in group:
                np.testing.assert_array_equal(np.sort(row), np.arange(tokens.shape[1]))
                _assert_legal(space, tokens[:, row])
                assert np.any(tokens[:, row] != tokens)
                other = _compiled(space.name, "from_tokens")(tokens[:, row])
                np.testing.assert_array_equal(_compiled(space.name, "canonicalize")(other), archs)
        for one, two in itertools.combinations(space.symmetries, 2):
            for row, other in itertools.product(one, two):
                np.testing.assert_array_equal(row[other], other[row])
