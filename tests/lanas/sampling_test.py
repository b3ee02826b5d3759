"""Candidates of a region: every accepted row lies in it, and is new."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import spaces
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import sampling
from lanas_jax import tree as trees

SPACES = {name: spaces.get(name) for name in ("convnet", "nasbench201")}
LEAF = 5


def _features(space):
    return functools.partial(factory.one_hot, num_choices=space.num_choices)


@functools.cache
def _looked_at(name):
    """(tree, rows) -> the leaves of the rows, which are valid, and what is canonical of them; compiled once."""
    space = SPACES[name]

    @jax.jit
    def look(tree, archs):
        return trees.route(tree, _features(space)(archs)), space.is_valid(archs), space.canonicalize(archs)

    return lambda *args: map(np.asarray, look(*args))


def _tree(space, seed=0):
    """Random splits of height 3 at the median of the space's own rows: each leaf holds some of them."""
    features = np.asarray(jax.jit(_features(space))(jnp.asarray(space.enumerate())))
    tree = trees.empty(3, features.shape[1])
    weights = np.random.default_rng(seed).normal(size=tree.weights.shape).astype(np.float32)
    threshold = np.median(features @ weights.T, axis=0)
    return tree.replace(weights=jnp.asarray(weights), threshold=jnp.asarray(threshold))


@functools.cache
def _sampler(name, sampler, acquisition="greedy", num_candidates=64):
    space = SPACES[name]
    config = configs.Config(
        regressor="ridge",
        height=3,
        sampler=sampler,
        features="one_hot",
        acquisition=acquisition,
        num_candidates=num_candidates,
        max_batches=4,
    )

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # to compile faster
    def sample(key, tree, leaf, starts, is_start, known):
        def taken(archs):
            return jnp.any(jnp.all(archs[:, None, :] == known[None], axis=-1), axis=1)

        return sampling.sample_leaf(
            key, tree, leaf, (starts, is_start), taken, space=space, features=_features(space), config=config
        )

    return sample


def _sample(name, sampler, *, tree=None, known=None, **settings):
    """(candidates as NumPy, the tree, the history's rows)."""
    space = SPACES[name]
    tree = _tree(space) if tree is None else tree
    everything = np.random.default_rng(1).permutation(space.enumerate())
    known = everything[: len(everything) // 2] if known is None else known
    known = jnp.asarray(np.resize(known, everything.shape))  # of one shape, so that it compiles once
    sample = _sampler(name, sampler, **settings)
    candidates = sample(jax.random.key(0), tree, jnp.int32(LEAF), known[:50], jnp.ones(50, bool), known)
    return jax.tree.map(np.asarray, candidates), tree, np.asarray(known)


class DepthTest(parameterized.TestCase):
    def test_by_hand(self):
        normals, offsets = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), jnp.array([0.0, 1.0, -5.0])
        features = jnp.array([[1.0, 2.0], [0.0, 1.0], [9.0, 3.0], [1.0, 0.0], [-1.0, 9.0]])
        depth = sampling.depth_of(features, normals, offsets)
        np.testing.assert_array_equal(depth, [3, 3, 2, 1, 0])  # the last violates the first alone

    def test_no_constraints(self):
        np.testing.assert_array_equal(sampling.depth_of(jnp.ones((3, 2)), jnp.zeros((0, 2)), jnp.zeros(0)), [0, 0, 0])


class ChordTest(parameterized.TestCase):
    def test_by_hand(self):
        # From 1/4 in [0, 1] with direction 1/2: down by 1/2, up by 3/2. Then a wall at slack 1, rate -2.
        slack, rate = jnp.array([[0.25, 0.75], [1.0, jnp.inf]]), jnp.array([[0.5, -0.5], [-2.0, 1.0]])
        low, high = sampling._chord(slack, rate)
        np.testing.assert_allclose(low, [-0.5, -np.inf])
        np.testing.assert_allclose(high, [1.5, 0.5])

    def test_parallel_walls_do_not_bound_and_rounding_below_zero_is_zero(self):
        low, high = sampling._chord(jnp.array([[0.0, 1.0, -1e-7]]), jnp.array([[0.0, 2.0, -1.0]]))
        np.testing.assert_allclose((low[0], high[0]), (-0.5, 0.0))


class SampleLeafTest(parameterized.TestCase):
    @parameterized.product(name=tuple(SPACES), sampler=("reject", "walk", "hit_and_run"))
    def test_accepted_candidates_are_in_the_region_new_and_distinct(self, name, sampler):
        candidates, tree, known = _sample(name, sampler)
        is_accepted = candidates.depth == 2
        accepted = candidates.archs[is_accepted]
        assert len(accepted) >= 16
        leaves, is_valid, canonical = _looked_at(name)(tree, candidates.archs)
        np.testing.assert_array_equal(leaves[is_accepted], LEAF)
        assert len(np.unique(accepted, axis=0)) == len(accepted)
        assert not {tuple(row) for row in accepted.tolist()} & {tuple(row) for row in known.tolist()}
        assert np.all(is_valid[is_accepted])
        np.testing.assert_array_equal(canonical[is_accepted], accepted)
        assert np.all(np.diff(candidates.depth) <= 0), "the deepest first"
        assert candidates.tried % 64 == 0
        assert 64 <= candidates.tried <= 4 * 64
        assert len(accepted) <= candidates.accepted <= candidates.tried

    def test_chains_from_measured_rows_of_the_region_stay_there(self):
        # The last step of hit-and-run may leave it by rounding to a row; a walk cannot.
        walked, _, _ = _sample("nasbench201", "walk")
        assert walked.accepted == walked.tried
        relaxed, _, _ = _sample("nasbench201", "hit_and_run")
        rejected, _, _ = _sample("nasbench201", "reject")
        assert relaxed.accepted / relaxed.tried > rejected.accepted / rejected.tried

    @parameterized.parameters("reject", "walk", "hit_and_run")
    def test_an_empty_region_falls_back_to_the_ancestors(self, sampler):
        space = SPACES["convnet"]
        tree = _tree(space)
        tree = tree.replace(threshold=tree.threshold.at[2].set(1e6))  # leaf 5 is the good side of node 2
        candidates, _, known = _sample("convnet", sampler, tree=tree)
        assert candidates.accepted == 0
        assert candidates.tried >= 4 * 64, "all of the budget"
        assert candidates.depth.max() == 1
        deepest, is_deepest = candidates.archs[candidates.depth == 1], candidates.depth == 1
        leaves, _, _ = _looked_at("convnet")(tree, candidates.archs)
        assert np.all(leaves[is_deepest] == 6), "in the region of node 2"
        assert not {tuple(row) for row in deepest.tolist()} & {tuple(row) for row in known.tolist()}

    @parameterized.parameters("reject", "walk", "hit_and_run")
    def test_where_all_rows_but_one_are_taken_that_one_is_found(self, sampler):
        everything = SPACES["convnet"].enumerate()
        for at in (0, 1000):
            candidates, _, _ = _sample("convnet", sampler, known=np.delete(everything, at, axis=0))
            assert candidates.depth[0] >= 0
            np.testing.assert_array_equal(candidates.archs[0], everything[at])
            np.testing.assert_array_equal(candidates.depth[1:], -1)

    def test_a_uniform_draw_stops_at_the_first_batch_that_hits(self):
        candidates, _, _ = _sample("nasbench201", "reject", acquisition="uniform")
        assert (candidates.tried, candidates.depth[0]) == (64, 2)
