"""Contract of every search space of `common.spaces.SPACES`."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces

NUM_ROWS = 64  # rows of a space that the slower checks use
NUM_RAW_ROWS = 512  # rows that need not be canonical
NUM_SAMPLES = 4000  # rows sampled at a time, by one compiled program for all tests


def _is_listed(space):
    return space.enumerate is not None and space.size <= 1_000_000


def _is_product(space):
    """Whether every row is a network of its own."""
    return space.size == math.prod(space.num_choices)


def _each_space(which=lambda space: True):
    """Runs a test once for each space of a kind."""
    return parameterized.named_parameters(item for item in spaces.SPACES.items() if which(item[1]))


@functools.cache
def _compiled(name, function):
    """A function of a space under `jit`, once for all tests: op by op the larger spaces take minutes."""
    return jax.jit(getattr(spaces.SPACES[name], function), static_argnums=1 if function == "sample" else None)


@functools.cache
def _drawn(name, seed=0):
    return np.asarray(_compiled(name, "sample")(jax.random.key(seed), NUM_SAMPLES))


def _sampled(name, seed=0):
    return _drawn(name, seed)[:NUM_ROWS]


def _valid(space, archs):
    """The valid ones of some rows, repeated to as many as these."""
    valid = archs[np.asarray(_compiled(space.name, "is_valid")(archs))]
    assert len(valid) > 0
    return np.resize(valid, archs.shape)


def _raw(space, seed):
    """Valid rows that are not canonical yet."""
    shape = (NUM_RAW_ROWS, len(space.num_choices))
    return _valid(space, np.random.default_rng(seed).integers(0, space.num_choices, shape).astype(np.int32))


def _neighbors(space, archs):
    around, is_valid = _compiled(space.name, "neighbors")(archs)
    return np.asarray(around), np.asarray(is_valid)


def _assert_valid_and_canonical(space, archs):
    assert (archs.dtype, archs.shape[1:]) == (np.int32, (len(space.num_choices),))
    size = 512 if len(archs) <= 512 else -(-len(archs) // 4096) * 4096  # few sizes, few programs
    padded = np.resize(archs, (size, archs.shape[1]))
    assert np.all(np.asarray(_compiled(space.name, "is_valid")(padded)))
    np.testing.assert_array_equal(_compiled(space.name, "canonicalize")(padded), padded)


def _assert_legal(space, tokens):
    tokens = np.asarray(tokens)
    assert tokens.shape[1:] == space.legal_tokens.shape[:1]
    previous = np.pad(tokens[:, :-1], ((0, 0), (1, 0)))
    assert np.all(space.legal_tokens[np.arange(tokens.shape[1])[None], previous, tokens])


class ListTest(parameterized.TestCase):
    def test_an_unknown_name_lists_the_known_ones(self):
        with pytest.raises(ValueError, match="nasbench201"):
            spaces.get("no such space")

    @_each_space(_is_listed)
    def test_every_network_once_in_lexicographic_order(self, space):
        everything = space.enumerate()
        assert (everything.dtype, everything.shape) == (np.int32, (space.size, len(space.num_choices)))
        first_difference = np.argmax(everything[1:] != everything[:-1], axis=1)[:, None]
        step = np.take_along_axis(everything[1:] - everything[:-1], first_difference, axis=1)
        assert np.all(step > 0)
        _assert_valid_and_canonical(space, everything[:: -(-len(everything) // 50_000)])  # some, evenly spread


class ValidityTest(parameterized.TestCase):
    @_each_space()
    def test_choices_out_of_range_are_invalid(self, space):
        assert spaces.get(space.name) is space
        num_decisions = len(space.num_choices)
        arch = _sampled(space.name)[0]
        too_small, too_large = np.tile(arch, (2, num_decisions, 1))
        np.fill_diagonal(too_small, -1)
        np.fill_diagonal(too_large, space.num_choices)
        given = np.resize(np.stack([arch, *too_small, *too_large]), (NUM_RAW_ROWS, num_decisions))
        is_valid = _compiled(space.name, "is_valid")(given)[: 2 * num_decisions + 1]
        np.testing.assert_array_equal(is_valid, [True] + [False] * (2 * num_decisions))

    @_each_space()
    def test_canonicalize_is_idempotent_keeps_validity_and_does_not_depend_on_the_batch(self, space):
        raw = _raw(space, 3)
        canonicalize = _compiled(space.name, "canonicalize")
        _assert_valid_and_canonical(space, np.asarray(canonicalize(raw)))
        np.testing.assert_array_equal(canonicalize(raw)[::-1], canonicalize(raw[::-1]))


class SampleTest(parameterized.TestCase):
    @_each_space()
    def test_rows_are_valid_canonical_and_differ_between_keys(self, space):
        batches = [_drawn(space.name, seed) for seed in range(3)]
        for batch in batches:
            assert batch.shape[0] == NUM_SAMPLES
            _assert_valid_and_canonical(space, batch)
        assert not np.array_equal(batches[0], batches[1])
        np.testing.assert_array_equal(_compiled(space.name, "sample")(jax.random.key(0), NUM_SAMPLES), batches[0])
        assert len(np.unique(batches[0], axis=0)) > min(NUM_SAMPLES, space.size) / 8

    @_each_space(_is_product)
    def test_products_are_sampled_uniformly_and_independently(self, space):
        """Chi-square of each decision: with d degrees of freedom a mean of d and a variance of 2 d."""
        archs, count = _drawn(space.name, 7), NUM_SAMPLES
        for at, num_choices in enumerate(space.num_choices):
            seen = np.bincount(archs[:, at], minlength=num_choices)
            chi_square = np.sum((seen - count / num_choices) ** 2) / (count / num_choices)
            degrees = num_choices - 1
            assert chi_square <= degrees + 5 * np.sqrt(2 * degrees)
        archs = archs[:, np.array(space.num_choices) > 1].astype(float)
        correlation = np.corrcoef(archs.T)[np.triu_indices(archs.shape[1], k=1)]
        assert np.max(np.abs(correlation)) < 5 / np.sqrt(count), "decisions are independent"


class NeighborTest(parameterized.TestCase):
    @_each_space()
    def test_neighbors_are_other_valid_canonical_rows(self, space):
        archs = _sampled(space.name)
        around, is_valid = _neighbors(space, archs)
        assert around.shape == (*is_valid.shape, archs.shape[1])
        assert np.all(np.any(is_valid, axis=1)), "a network without neighbours"
        _assert_valid_and_canonical(space, around[is_valid])
        assert np.all(np.any(around != archs[:, None, :], axis=-1)[is_valid])

    @_each_space(_is_product)
    def test_neighbors_of_products_are_all_rows_one_decision_away(self, space):
        arch = _sampled(space.name)[0]
        around, is_valid = _neighbors(space, _sampled(space.name))
        expected = {
            (*arch[:at], choice, *arch[at + 1 :])
            for at, num_choices in enumerate(space.num_choices)
            for choice in range(num_choices)
            if choice != arch[at]
        }
        got = around[0][is_valid[0]].tolist()
        assert sorted(map(tuple, got)) == sorted(tuple(map(int, row)) for row in expected)

    @_each_space()
    def test_mutants_are_neighbors(self, space):
        archs = _sampled(space.name)
        around, is_valid = _neighbors(space, archs)
        for seed in range(3):
            mutants = np.asarray(_compiled(space.name, "mutate")(jax.random.key(seed), archs))
            _assert_valid_and_canonical(space, mutants)
            assert np.all(np.any(mutants != archs, axis=1))
            is_neighbor = np.any(np.all(around == mutants[:, None, :], axis=-1) & is_valid, axis=1)
            assert np.all(is_neighbor)

    @_each_space()
    def test_mutation_reaches_every_neighbor(self, space):
        archs = _sampled(space.name)
        around, is_valid = _neighbors(space, archs)
        expected = np.unique(around[0][is_valid[0]], axis=0)
        copies = np.tile(archs[:1], (NUM_ROWS, 1))
        keys = jax.random.split(jax.random.key(5), -(-14 * is_valid.shape[1] // NUM_ROWS))
        mutants = np.concatenate([_compiled(space.name, "mutate")(key, copies) for key in keys])
        np.testing.assert_array_equal(np.unique(mutants, axis=0), expected)


class ViewTest(parameterized.TestCase):
    @_each_space()
    def test_features_are_finite_float32_and_do_not_depend_on_the_batch(self, space):
        archs = _sampled(space.name)
        compute = _compiled(space.name, "features")
        features = compute(archs)
        assert features.dtype == jnp.float32
        assert np.all(np.isfinite(features))
        np.testing.assert_allclose(features[::-1], compute(archs[::-1]), rtol=1e-5, atol=1e-6)

    @_each_space()
    def test_descriptions_of_different_rows_differ(self, space):
        archs = np.unique(np.concatenate([_sampled(space.name, seed) for seed in range(3)]), axis=0)
        texts = [space.describe(arch) for arch in archs]
        assert all(isinstance(text, str) and text for text in texts)
        assert len(set(texts)) == len(archs)


class TransformationTest(parameterized.TestCase):
    @_each_space()
    def test_functions_of_rows_have_the_same_shapes_under_vmap(self, space):
        archs, keys = _sampled(space.name), jax.random.split(jax.random.key(11), 2)
        tokens = _compiled(space.name, "tokens")(archs)
        halves = dict.fromkeys(("is_valid", "canonicalize", "features", "tokens", "neighbors"), archs)
        for name, rows_ in (halves | {"from_tokens": tokens}).items():
            function = getattr(space, name)
            mapped = jax.eval_shape(jax.vmap(function), rows_.reshape(2, NUM_ROWS // 2, -1))
            plain = jax.eval_shape(function, rows_[: NUM_ROWS // 2])
            assert mapped == jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), plain), name
        sampled = jax.eval_shape(jax.vmap(lambda key: space.sample(key, 5)), keys)
        mutants = jax.eval_shape(jax.vmap(space.mutate, in_axes=(0, None)), keys, archs)
        assert (sampled.shape, mutants.shape) == ((2, 5, archs.shape[1]), (2, *archs.shape))


class TokensTest(parameterized.TestCase):
    @_each_space()
    def test_tokens_are_legal_and_lead_back(self, space):
        archs = _sampled(space.name)
        tokens = _compiled(space.name, "tokens")(archs)
        _assert_legal(space, tokens)
        back = _compiled(space.name, "from_tokens")(tokens)
        assert tokens.dtype == back.dtype == np.int32
        np.testing.assert_array_equal(back, archs)
        # Those of a row that is not canonical lead to the same network.
        raw, canonicalize = _raw(space, 3), _compiled(space.name, "canonicalize")
        tokens = _compiled(space.name, "tokens")(raw)
        _assert_legal(space, tokens)
        back = _compiled(space.name, "from_tokens")(tokens)
        np.testing.assert_array_equal(canonicalize(back), canonicalize(raw))

    @_each_space()
    def test_legal_tokens_never_run_out_and_do_not_start_again(self, space):
        legal = space.legal_tokens
        assert isinstance(legal, np.ndarray)
        assert (legal.dtype, legal.shape[1:]) == (bool, 2 * legal.shape[2:])
        assert np.all(legal.any(axis=2)), "a position where, after some token, none is legal"
        assert legal[:, :, -1].any(), "the vocabulary is larger than need be"
        # Where the start symbol may stand it is padding, after which there is nothing else.
        assert not legal[0, 0, 0]
        for position in range(1, len(legal)):
            if legal[position - 1, :, 0].any():
                assert not legal[position, 0, 1:].any()

    @_each_space()
    def test_random_legal_sequences_are_rows_in_range(self, space):
        # As a decoder writes them: at each position one of the tokens legal there, all equally likely.
        rng, tokens = np.random.default_rng(0), np.zeros((NUM_RAW_ROWS, len(space.legal_tokens) + 1), np.int32)
        for position, legal in enumerate(space.legal_tokens):
            scores = np.where(legal[tokens[:, position]], rng.random((NUM_RAW_ROWS, legal.shape[1])), -1.0)
            tokens[:, position + 1] = np.argmax(scores, axis=1)
        archs = np.asarray(_compiled(space.name, "from_tokens")(tokens[:, 1:]))
        assert np.all((archs >= 0) & (archs < np.array(space.num_choices)))
        assert len(np.unique(archs, axis=0)) > NUM_ROWS
        archs = _valid(space, archs)
        canonicalize = _compiled(space.name, "canonicalize")
        again = _compiled(space.name, "from_tokens")(_compiled(space.name, "tokens")(archs))
        np.testing.assert_array_equal(canonicalize(again), canonicalize(archs))

    @_each_space(lambda space: space.symmetries)
    def test_symmetries_are_other_encodings_of_the_same_network(self, space):
        archs = _sampled(space.name)
        tokens = _compiled(space.name, "tokens")(archs)
        assert isinstance(space.symmetries, tuple)
        for group in space.symmetries:
            assert (group.dtype, group.shape[1:]) == (np.int32, tokens.shape[1:])
            for row in group:
                np.testing.assert_array_equal(np.sort(row), np.arange(tokens.shape[1]))
                _assert_legal(space, tokens[:, row])
                assert np.any(tokens[:, row] != tokens)
                other = _compiled(space.name, "from_tokens")(tokens[:, row])
                np.testing.assert_array_equal(_compiled(space.name, "canonicalize")(other), archs)
        for one, two in itertools.combinations(space.symmetries, 2):
            for row, other in itertools.product(one, two):
                np.testing.assert_array_equal(row[other], other[row])


for _class in [one for one in globals().values() if isinstance(one, type) and issubclass(one, parameterized.TestCase)]:
    for _name, _test in vars(_class).items():
        if _name.endswith("_nao_middle"):  # between the other two of its kind
            pytest.mark.slow(_test)
