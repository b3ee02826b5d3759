"""Contract of every searcher, over a dict of factories. A new searcher is one line in `SEARCHERS`."""

import collections
import dataclasses
import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

import lanas_jax
import nao_jax
from common import baselines, compilation, objectives, one_round, rows, spaces, types
from common import history as history_lib
from common.executors import measuring
from common.spaces import factory

# Networks and fits as small as can be, and two architectures from which to climb, one step.
_SMALL_NAO = dataclasses.replace(
    nao_jax.Config(),
    model=dataclasses.replace(
        nao_jax.Config().model,
        **{"embedding_size": 4, "hidden_size": 4, "is_bidirectional": False, "decoder": "plain"},
        **{"predictor": "mlp", "predictor_layers": 0},
    ),
    **{"num_members": 2, "num_initial": 4, "num_new": 4, "count": 4, "batch_size": 8, "fit_first": 2, "fit_later": 1},
    **{"num_unlabelled": 6, "num_mutated": 3, "num_seeds": 2, "num_steps": 1, "num_climbs": 1},
)
_SMALL_SEMINAS = dataclasses.replace(
    _SMALL_NAO, num_members=1, fit_synthetic=1, reconstructs_unlabelled=False, seeds="union", order="step_size"
)

_SMALL_LANAS = {"height": 2, "num_initial": 6, "num_select": 4, "count": 4, "max_rows": 24}
_SMALL_LANAS |= {"adam_steps_first": 4, "adam_steps": 2}
_SAMPLED = {**_SMALL_LANAS, "features": "one_hot", "num_candidates": 32, "max_batches": 3, "walk_steps": 3}


def _lanas(space, name, *, objectives=None, **changes):
    """LaNAS with candidates from the listed space where it can be listed, else by rejection."""
    config = lanas_jax.Config(**{**_SAMPLED, "sampler": "pool" if space.name == "convnet" else "reject", **changes})
    return lanas_jax.searcher(space, config, name=name, objectives=objectives)


LANAS = {
    "lanas": {"acquisition": "tempered"},  # the others leave little to the key
    "lanas_walk": {"sampler": "walk", "acquisition": "expected_improvement"},
    "lanas_hit_and_run": {"regressor": "adam", "sampler": "hit_and_run", "acquisition": "uniform"},
}
_SMALL_BAYESIAN = {"num_initial": 6, "num_parents": 2, "num_mutated": 4, "num_random": 4}
_SMALL_PREDICTOR = {"num_initial": 6, "num_layers": 1, "width": 4, "num_steps": 2, "batch_size": 4}
BASELINES = {  # the settings that make them small
    "bayesian_optimization": _SMALL_BAYESIAN,
    "lamcts": {**_SMALL_BAYESIAN, "num_levels": 2, "leaf_size": 6},
    "bananas": {**_SMALL_PREDICTOR, "num_members": 2, "num_candidates": 8},
    "weaknas": {**_SMALL_PREDICTOR, "num_best": 8, "num_candidates": 8},
}


def _baseline(space, name):
    algorithm = baselines.ALGORITHMS[name]
    config = dataclasses.replace(algorithm.config, **BASELINES.get(name, {}))
    return algorithm.searcher(space, config, name=name)


def _sum(archs):
    return jnp.sum(archs, axis=1)


TWO = objectives.Objectives(("fitness", "sum"), (1.0, -1.0), (jax.tree_util.Partial(_sum),))


def _front(space, name):
    """A searcher of two objectives."""
    if name == "lanas_front":
        return _lanas(space, name, acquisition="expected_improvement", objectives=TWO)
    if name == "nao_front":
        return nao_jax.searcher(space, config=_SMALL_NAO, name=name, objectives=TWO)
    return baselines.ALGORITHMS[name.removesuffix("_front")].searcher(space, name=name, objectives=TWO)


FRONT = [f"{name}_front" for name in ("lanas", "nao", "random", "local_search", "nsga2")]
SEARCHERS = {  # name: space -> types.Searcher, as small as it may be
    **{name: functools.partial(_baseline, name=name) for name in baselines.ALGORITHMS},
    **{name: functools.partial(_lanas, name=name, **changes) for name, changes in LANAS.items()},
    "nao": functools.partial(nao_jax.searcher, config=_SMALL_NAO),
    "seminas": functools.partial(nao_jax.searcher, config=_SMALL_SEMINAS, name="seminas"),
    **{name: functools.partial(_front, name=name) for name in FRONT},
}
# Parts of the names of tests that compile a program of their own: slow, but for one or two searchers.
_OWN_PROGRAM = ("_huge", "_measures_all", "_vmap", "_do_not_matter", "_64_bits")
SLOW = {**dict.fromkeys(SEARCHERS, _OWN_PROGRAM), "seminas": ("",), "local_search": ("_vmap", "_matter", "_64_bits")}
SLOW |= dict.fromkeys(FRONT, ("",))  # `front_searchers_test.py` and `nsga2_test.py` have quick tests of them
SLOW |= {"nao": (*_OWN_PROGRAM, "_grows")}
SLOW |= {"lanas": ("_measures_all", "_huge"), "lanas_walk": ("",)}  # `lanas/search_test.py` walks
SPACES = {
    "convnet": spaces.get("convnet"),  # 1,364 networks, not every row is canonical
    "huge": factory.search_space("huge", (6,) * 20, size=6**20, describe=str),  # too large to list
}
COUNT, CAPACITY, NUM_OTHERS = 4, 96, 60
TRACES = collections.Counter()  # of proposals, by all that makes a program

_each_searcher = parameterized.named_parameters((name, name) for name in SEARCHERS)
_each_searcher_and_space = parameterized.named_parameters(
    (f"{name}_{space}", name, space) for name in SEARCHERS for space in SPACES
)


@functools.cache
def _made(name, space):
    return SEARCHERS[name](SPACES[space])


def _searcher(name, space="convnet"):
    return _made(name, space)


@jax.jit
def _init(init, key, history):
    return init(key, history)


@jax.jit
def _propose(propose, key, state, history):
    TRACES[jax.tree.structure(propose), history.archs.shape, jax.config.jax_debug_key_reuse] += 1
    return propose(key, state, history, count=COUNT)


_append_pending = jax.jit(history_lib.append_pending)


@jax.jit
def _append(history, archs, evaluation):
    return history_lib.append(history, archs, evaluation, -_sum(archs)[:, None][:, : history.others.shape[1]])


def _empty(name, space="convnet", capacity=CAPACITY):
    return history_lib.empty(capacity, len(SPACES[space].num_choices), 1 + (name in FRONT))


def _functions(name, space="convnet"):
    """(init, propose) compiled once for all tests; the searcher's arrays are arguments."""
    searcher = _searcher(name, space)
    return functools.partial(_init, searcher.init), functools.partial(_propose, searcher.propose)


def _fitness(archs):
    """Something in [0, 1) to climb, with many values and several local optima."""
    weights = jnp.arange(1.0, archs.shape[1] + 1.0)[None]
    return 0.5 + 0.5 * jnp.sin(jnp.sum(weights * archs, axis=1) / 7.0) * jnp.cos(jnp.sum(archs, axis=1) / 3.0)


@functools.partial(jax.jit, static_argnames="kind")
def _evaluation(archs, kind="plain"):
    """Results of the rows in each kind of history."""
    at = jnp.arange(len(archs))
    fitness = {"equal": jnp.full(len(archs), 0.5)}.get(kind, _fitness(archs))
    ok = {"infeasible": at < 0, "mixed": jnp.sum(archs, axis=1) % 3 > 0}.get(kind, at >= 0)
    return types.Evaluation(fitness=fitness, cost=1.0 + at.astype(jnp.float32), ok=ok)


def _others(space="convnet", num_rows=NUM_OTHERS, seed=0):
    """Distinct rows that someone else proposes."""
    archs = np.asarray(SPACES[space].sample(jax.random.key(seed), 20 * num_rows))
    _, first = np.unique(archs, axis=0, return_index=True)
    return jnp.asarray(archs[np.sort(first)[:num_rows]])


def _filled(name, kind, space="convnet", seed=0):
    """A history of someone else's: of its rows some are pending, the rest as `kind` says."""
    archs, history = _others(space, seed=seed), _empty(name, space)
    if kind == "empty":
        return history
    history = _append(history, archs[:-5], _evaluation(archs[:-5], kind))
    return _append_pending(history, archs[-5:])


def _assert_new(space, history, archs, count=COUNT):
    assert (archs.shape, archs.dtype) == ((count, len(space.num_choices)), jnp.int32)
    assert np.all(space.is_valid(archs))
    np.testing.assert_array_equal(space.canonicalize(archs), archs)
    assert not np.any(rows.is_repeat(archs)), "an architecture twice in one round"
    known = {tuple(row) for row in np.asarray(history.archs).tolist()}
    assert not known & {tuple(row) for row in np.asarray(archs).tolist()}, "an architecture of the history"


class SearcherTest(parameterized.TestCase):
    @_each_searcher_and_space
    def test_proposals_are_new_valid_and_different_whatever_the_history_holds(self, name, space):
        init, propose = _functions(name, space)
        for kind in ("empty", "plain", "equal", "infeasible", "mixed"):
            history = _filled(name, kind, space)
            state = init(jax.random.key(1), history)
            for round_ in range(6):
                archs, state = propose(jax.random.fold_in(jax.random.key(2), round_), state, history)
                _assert_new(SPACES[space], history, archs)
                history = _append(history, archs, _evaluation(archs, kind))

    @_each_searcher
    def test_where_64_bits_are_enabled_the_search_is_the_same(self, name):
        def search():
            history = _empty(name)
            searcher = SEARCHERS[name](SPACES["convnet"])
            state = one_round.init(searcher.init, jax.random.key(1), history)
            for round_ in range(4):
                key = jax.random.key(round_ + 2)
                archs, state = one_round.propose(searcher.propose, key, state, history, count=COUNT)
                history = _append(history, archs, compilation.in_32_bits(_evaluation)(archs))
            return history, one_round.diagnose(measuring.on_device(searcher.diagnostics), state, history)

        wanted = search()
        with jax.enable_x64(True):
            got = search()
        chex.assert_trees_all_equal(got, wanted)
        chex.assert_trees_all_equal_dtypes(got, wanted)

    @_each_searcher
    def test_history_grows_by_others_between_rounds(self, name):
        init, propose = _functions(name)
        others = _others(seed=5)
        history = _empty(name)
        state = init(jax.random.key(1), history)
        for round_ in range(3):
            archs, state = propose(jax.random.fold_in(jax.random.key(3), round_), state, history)
            _assert_new(SPACES["convnet"], history, archs)
            # The proposals come back late and among rows of others, of which some rounds bring many.
            known = np.asarray(archs).tolist() + np.asarray(history.archs).tolist()
            new = [row for row in np.asarray(others).tolist() if row not in known][: 5 + 15 * round_]
            new = jnp.array(new, jnp.int32)
            history = _append(history, new, _evaluation(new, "mixed"))
            history = _append_pending(history, archs)

    @parameterized.named_parameters((name, name) for name in SEARCHERS if name != "lanas_front")  # it takes minutes
    def test_a_search_with_the_size_of_the_space_as_budget_measures_all_of_it_once(self, name):
        space, searcher = SPACES["convnet"], _searcher(name)

        @jax.jit
        def search(key, init, propose):
            def one_round(carry, round_):
                state, history = carry
                archs, state = propose(jax.random.fold_in(key, round_), state, history, count=COUNT)
                return (state, _append(history, archs, _evaluation(archs))), None

            history = _empty(name, capacity=space.size)
            state = init(jax.random.fold_in(key, space.size), history)
            return jax.lax.scan(one_round, (state, history), jnp.arange(space.size // COUNT))[0][1]

        history = search(jax.random.key(6), searcher.init, searcher.propose)
        np.testing.assert_array_equal(np.unique(history.archs, axis=0), space.enumerate())

    @_each_searcher
    def test_one_trace_a_search(self, name):
        """However many tests have used the program before, it was traced once."""
        init, propose = _functions(name)
        history = _filled(name, "empty")
        state = init(jax.random.key(0), history)
        for round_ in range(4):
            archs, state = propose(jax.random.fold_in(jax.random.key(7), round_), state, history)
            history = _append(history, archs, _evaluation(archs, "mixed"))
        made = jax.tree.structure(_searcher(name).propose), history.archs.shape, jax.config.jax_debug_key_reuse
        assert TRACES[made] == 1

    @_each_searcher
    def test_the_key_decides(self, name):
        init, propose = _functions(name)
        for kind in ("empty",) if name == "lanas_front" else ("empty", "mixed"):  # there only ties are random
            history = _filled(name, kind)
            proposals = []
            for seed in (8, 8, 9):
                state = init(jax.random.key(seed + 100), history)
                proposals.append(propose(jax.random.key(seed), state, history))
            chex.assert_trees_all_equal(proposals[0], proposals[1])
            assert not np.array_equal(proposals[0][0], proposals[2][0])

    @_each_searcher
    def test_vmap_over_searches_equals_a_loop(self, name):
        init, propose = _functions(name)
        histories = [_filled(name, kind, seed=seed) for seed, kind in enumerate(("mixed", "plain", "infeasible"))]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *histories)

        def keys(seed):
            return jax.random.split(jax.random.key(seed), len(histories))

        states = jax.vmap(init)(keys(10), stacked)
        for round_ in range(2):
            with jax.debug_key_reuse(False):  # the checker rejects a loop over draws in a branch once it is vmapped
                archs, states = jax.vmap(propose)(keys(11 + round_), states, stacked)
            if round_ == 0:
                first, stacked = archs, jax.vmap(_append_pending)(stacked, archs)
        for at, history in enumerate(histories):
            expected, state = propose(keys(11)[at], init(keys(10)[at], history), history)
            np.testing.assert_array_equal(first[at], expected)
            expected, _ = propose(keys(12)[at], state, _append_pending(history, expected))
            np.testing.assert_array_equal(archs[at], expected)

    @_each_searcher
    def test_fitness_and_cost_of_unmeasured_rows_do_not_matter(self, name):
        """A search of 16 rounds, in which climbs pass infeasible rows, with other values where nothing was measured."""
        init, propose = _functions(name)

        def fill(history, filler):
            is_measured = history_lib.is_measured(history)
            fitness = jnp.where(is_measured, history.fitness, filler)
            return history.replace(fitness=fitness, cost=jnp.where(is_measured, history.cost, filler))

        searches = []
        for filler in (jnp.nan, 0.999, -jnp.inf):
            others = _others(num_rows=24)
            measured = _evaluation(others[:20], "mixed")
            history = _append(_empty(name), others[:20], measured)
            history = fill(_append_pending(history, others[20:]), filler)
            state = init(jax.random.key(13), history)
            for round_ in range(16):
                archs, state = propose(jax.random.fold_in(jax.random.key(14), round_), state, history)
                history = fill(_append(history, archs, _evaluation(archs, "mixed")), filler)
            searches.append(history.archs)
        np.testing.assert_array_equal(searches[1], searches[0])
        np.testing.assert_array_equal(searches[2], searches[0])

    @_each_searcher
    def test_name_and_count(self, name):
        searcher = _searcher(name)
        assert searcher.name == name
        assert searcher.count >= 1


for _name, _test in vars(SearcherTest).items():
    if any(
        re.search(f"_{name}(_convnet|_huge)?$", _name) and part in _name
        for name, parts in SLOW.items()
        for part in parts
    ):
        pytest.mark.slow(_test)
