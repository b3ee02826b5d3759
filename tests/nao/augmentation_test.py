"""Augmentation by hand and on all spaces: exactly the equivalent encodings of a network."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import spaces
from nao_jax import augmentation

# Two cells of two nodes: a swap exchanges the two tokens of a node.
SWAPS = (
    np.array([[1, 0, 2, 3, 4, 5, 6, 7], [0, 1, 3, 2, 4, 5, 6, 7]], np.int32),
    np.array([[0, 1, 2, 3, 5, 4, 6, 7], [0, 1, 2, 3, 4, 5, 7, 6]], np.int32),
)
TOKENS = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.int32)
ONE_SWAP = {  # one node of each cell
    *((2, 1, 3, 4, 6, 5, 7, 8), (2, 1, 3, 4, 5, 6, 8, 7)),
    *((1, 2, 4, 3, 6, 5, 7, 8), (1, 2, 4, 3, 5, 6, 8, 7)),
}
ORBIT = {
    sum(pairs, ())
    for pairs in itertools.product(((1, 2), (2, 1)), ((3, 4), (4, 3)), ((5, 6), (6, 5)), ((7, 8), (8, 7)))
}
WITH_SYMMETRIES = [name for name, space in spaces.SPACES.items() if space.symmetries]
NUM_DRAWS = 1600


def many(rewrite, tokens=TOKENS, symmetries=SWAPS, count=NUM_DRAWS):
    """Returns (encodings, their counts) of `count` samples."""
    keys = jax.random.split(jax.random.key(0), count)
    drawn = jax.jit(jax.vmap(lambda key: rewrite(key, jnp.asarray(tokens), symmetries)))(keys)
    assert drawn.dtype == jnp.int32
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    return list(map(tuple, rows.tolist())), counts


class RewriteTest(chex.TestCase):
    def test_a_permutation_says_where_each_token_is_taken_from(self):
        cycle = (np.array([[1, 2, 0]], np.int32),)
        for rewrite in (augmentation.swap, augmentation.orbit):
            rows, _ = many(rewrite, np.array([7, 8, 9], np.int32), cycle, count=8)
            assert set(rows) - {(7, 8, 9)} == {(8, 9, 7)}

    def test_swap_applies_one_of_each_group_evenly(self):
        rows, counts = many(augmentation.swap)
        assert set(rows) == ONE_SWAP
        assert abs(counts - NUM_DRAWS / 4).max() < 70  # 4 standard deviations of sqrt(1600 x 3/16)

    def test_orbit_is_every_writing_and_no_other_evenly(self):
        rows, counts = many(augmentation.orbit)
        assert (set(rows), len(ORBIT)) == (ORBIT, 16)
        assert abs(counts - NUM_DRAWS / 16).max() < 39  # 4 standard deviations of sqrt(1600 x 15/256)

    @parameterized.parameters(*WITH_SYMMETRIES)
    def test_on_the_spaces_it_stays_the_same_network_and_legal(self, name):
        space = spaces.get(name)

        @jax.jit
        def rewritten(sample_key, keys):
            archs = space.sample(sample_key, 6)
            tokens = space.tokens(archs)
            written = jnp.stack(
                [
                    jax.vmap(lambda key, row, f=rewrite: f(key, row, space.symmetries))(keys, tokens)
                    for rewrite in (augmentation.swap, augmentation.orbit)
                ]
            )
            return archs, tokens, written, jax.vmap(lambda rows: space.canonicalize(space.from_tokens(rows)))(written)

        found = rewritten(jax.random.key(1), jax.random.split(jax.random.key(2), 6))
        archs, tokens, written, canonical = map(np.asarray, found)
        assert np.all(np.any(written != tokens[None], axis=(1, 2)))
        np.testing.assert_array_equal(np.sort(written[1]), np.sort(tokens))
        before = np.pad(written[..., :-1], ((0, 0), (0, 0), (1, 0)))
        assert np.all(space.legal_tokens[np.arange(tokens.shape[1]), before, written])
        np.testing.assert_array_equal(canonical, np.stack([archs, archs]))


class AugmentTest(chex.TestCase):
    def augment(self, kind, *, seed=0, expand_seed=0, places=None, is_copy=None, symmetries=SWAPS, batch=32):
        places = np.arange(batch) if places is None else np.asarray(places)
        is_copy = np.ones(len(places), bool) if is_copy is None else np.asarray(is_copy)
        return np.asarray(
            augmentation.augment(
                jax.random.key(seed),
                jax.random.key(100 + expand_seed),
                jnp.broadcast_to(jnp.asarray(TOKENS), (len(places), 8)),
                jnp.asarray(places),
                jnp.asarray(is_copy),
                symmetries,
                augmentation=kind,
            )
        )

    def assert_rows(self, rows, allowed):
        assert set(map(tuple, rows.tolist())) <= allowed
        assert len(set(map(tuple, rows.tolist()))) > 1, "rows are rewritten apart"

    @parameterized.parameters("none", "swap", "expand", "orbit")
    def test_a_space_without_symmetries_is_left_alone(self, kind):
        np.testing.assert_array_equal(self.augment(kind, symmetries=()), np.tile(TOKENS, (32, 1)))

    @parameterized.parameters(("swap", ONE_SWAP), ("orbit", ORBIT))
    def test_every_row_of_every_fetch_is_rewritten(self, kind, allowed):
        first = self.augment(kind, is_copy=np.zeros(32, bool))
        self.assert_rows(first, allowed)
        np.testing.assert_array_equal(self.augment(kind, expand_seed=1), first)
        assert np.any(self.augment(kind, seed=1) != first)

    def test_expand_leaves_the_first_copy_and_rewrites_others_alike_in_every_epoch(self):
        is_copy = np.arange(32) >= 10
        first = self.augment("expand", is_copy=is_copy)
        np.testing.assert_array_equal(first[:10], np.tile(TOKENS, (10, 1)))
        self.assert_rows(first[10:], ONE_SWAP)
        # In the next epoch: another key, another order.
        order = np.random.default_rng(0).permutation(32)
        again = self.augment("expand", seed=1, places=order, is_copy=is_copy[order])
        np.testing.assert_array_equal(again, first[order])
        # In the next fit:
        assert np.any(self.augment("expand", expand_seed=1, is_copy=is_copy) != first)
