"""`lanas_official` against the rules of the code released for NAS-Bench-101, written again in NumPy.

Both have the same random numbers: every architecture of the search is the one that the rules choose.
"""

import dataclasses
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import history as histories
from common import one_round, rows, spaces, types
from common.spaces import factory
from lanas_jax import adam, search
from lanas_jax import config as configs
from launch import lanas

HEIGHT, NUM_INITIAL, NUM_SELECT, NUM_DRAWS, STEPS = 3, 10, 5, 30, (400, 100)
CONFIG = dataclasses.replace(
    configs.PRESETS["lanas_official"],
    height=HEIGHT,
    num_initial=NUM_INITIAL,
    num_select=NUM_SELECT,
    adam_steps_first=STEPS[0],
    adam_steps=STEPS[1],
)


class Node:
    """A linear model by full-batch Adam, warm, its moments kept, behind a clip of the gradient's norm at 5."""

    def __init__(self, weights, bias):
        self.params = np.append(np.asarray(weights, float), float(bias))
        self.moments, self.step, self.threshold = np.zeros((2, len(self.params))), 0, 0.0

    def predict(self, features):
        return features @ self.params[:-1] + self.params[-1]

    def fit(self, features, values, num_steps):
        for _ in range(num_steps if len(values) else 0):
            errors = self.predict(features) - values
            gradient = 2 * np.append(features.T @ errors, errors.sum()) / len(values)
            gradient *= 5.0 / max(5.0, np.linalg.norm(gradient))
            self.step += 1
            first = self.moments[0] = 0.9 * self.moments[0] + 0.1 * gradient
            second = self.moments[1] = 0.999 * self.moments[1] + 0.001 * gradient**2
            first, second = first / (1 - 0.9**self.step), second / (1 - 0.999**self.step)
            self.params -= 1e-5 * first / (np.sqrt(second) + 1e-8)
        self.threshold = self.predict(features).mean() if len(values) else 0.0


def fit(nodes, features, values, num_steps):
    """Fits the inner nodes, top down; architectures descend by value. Returns counts and sums of all nodes."""
    counts, sums = np.zeros(len(nodes)), np.zeros(len(nodes))
    members = {0: np.arange(len(values))}
    for at, node in enumerate(nodes):
        here = members[at]
        counts[at], sums[at] = len(here), values[here].sum()
        if 2 * at + 2 < len(nodes):
            node.fit(features[here], values[here], num_steps)
            is_good = values[here] >= node.threshold
            members[2 * at + 1], members[2 * at + 2] = here[is_good], here[~is_good]
    return counts, sums


def leaves_of(nodes, features):
    at = np.zeros(len(features), int)
    for _ in range(len(nodes).bit_length() - 1):
        is_good = np.array([nodes[k].predict(row) >= nodes[k].threshold for k, row in zip(at, features, strict=True)])
        at = 2 * at + np.where(is_good, 1, 2)
    return at


def bound(counts, sums, child):
    if counts[child] == 0:
        return np.inf
    return sums[child] / counts[child] + 0.2 * np.sqrt(2 * np.log(counts[(child - 1) // 2]) / counts[child])


def path(leaf):
    found = [leaf]
    while found[-1]:
        found.append((found[-1] - 1) // 2)
    return found[::-1]


class Rules:
    """The search of the released program on a list of networks.

    Attributes:
      nodes: the tree.
      taken: the networks so far, by their place in the list.
      fitted: their number at the last fit.
    """

    def __init__(self, key, config, features, fitness):
        first = adam.init(key, config.num_nodes, features.shape[1]).params
        self.nodes = [Node(*one) for one in zip(np.asarray(first["weights"]), np.asarray(first["bias"]), strict=True)]
        self.config, self.features, self.fitness, self.taken, self.fitted = config, features, fitness, [], 0

    def next(self, key):
        """Returns the network that is trained next."""
        is_free = np.ones(len(self.features), bool)
        is_free[self.taken] = False
        num = len(self.taken)
        if num < self.config.num_initial:
            at = int(np.argmax(np.where(is_free, jax.random.uniform(key, is_free.shape), -1)))
        else:
            if not self.fitted or num - self.fitted >= self.config.num_select:
                num_steps = self.config.adam_steps if self.fitted else self.config.adam_steps_first
                rows_before = np.array(self.taken)
                self.statistics = fit(self.nodes, self.features[rows_before], self.fitness[rows_before], num_steps)
                self.fitted, self.leaves = num, leaves_of(self.nodes, self.features)
            at = self._from_the_tree(key, is_free)
            for statistic, amount in zip(self.statistics, (1, self.fitness[at]), strict=True):
                statistic[path(self.leaves[at])] += amount
        self.taken.append(at)
        return at

    def _from_the_tree(self, key, is_free):
        noise_key, key = jax.random.split(key)
        descend_key, shift_key, _ = jax.random.split(jax.random.split(key, 1)[0], 3)
        tie_break = np.asarray(jax.random.uniform(descend_key, (len(self.nodes),)))
        node = 0
        while 2 * node + 2 < len(self.nodes):
            children = 2 * node + 1, 2 * node + 2
            is_open = [any(child in path(leaf) for leaf in set(self.leaves[is_free])) for child in children]
            good, bad = (
                bound(*self.statistics, child) if open_ else -np.inf
                for child, open_ in zip(children, is_open, strict=True)
            )
            is_bad = tie_break[children[1]] > tie_break[children[0]] if good == bad else bad > good
            node = children[int(is_bad)]
        noise = np.asarray((jax.random.uniform(noise_key, is_free.shape) + jax.random.uniform(shift_key)) % 1.0)
        return int(np.argmax(np.where(is_free & (self.leaves == node), noise, -1)))


def networks(count):
    """Returns (archs, their 49 numbers, a fitness)."""
    base = spaces.get("nasbench101_lanas")
    archs = np.unique(np.asarray(jax.jit(base.sample, static_argnums=1)(jax.random.key(3), count)), axis=0)
    features = np.asarray(jax.jit(base.features)(archs), float)
    return archs, features, 0.4 + 0.1 * np.sin(features @ np.arange(1.0, 50.0)) + 0.3 * features[:, 42:].mean(axis=1)


def test_every_draw_is_that_of_the_rules():
    archs, features, fitness = networks(400)
    searcher = search.searcher(factory.listed(spaces.get("nasbench101_lanas"), archs), CONFIG)
    history = histories.empty(NUM_INITIAL + NUM_DRAWS, archs.shape[1])
    state = searcher.init(jax.random.key(0), history)
    rules = Rules(jax.random.key(0), CONFIG, features, fitness)
    propose = jax.jit(lambda key, state, history: searcher.propose(key, state, history, count=1))
    for draw in range(NUM_INITIAL + NUM_DRAWS):
        key = jax.random.fold_in(jax.random.key(1), draw)
        proposed, state = propose(key, state, history)
        at = rules.next(jax.random.clone(key))
        assert int(rows.find(archs, proposed)[0]) == at, draw
        if draw and rules.fitted == draw:
            inner = len(rules.nodes) // 2
            weights = [node.params[:-1] for node in rules.nodes[:inner]]
            np.testing.assert_allclose(state.tree.weights[:inner], weights, atol=1e-5)
            thresholds = [node.threshold for node in rules.nodes[:inner]]
            np.testing.assert_allclose(state.tree.threshold[:inner], thresholds, atol=1e-4)
        evaluation = types.Evaluation(fitness=jnp.float32(fitness[[at]]), cost=jnp.ones(1), ok=jnp.array([True]))
        history = histories.append(history, proposed, evaluation)
    assert len(set(rules.leaves[np.array(rules.taken[NUM_INITIAL:])])) > 1


@pytest.mark.slow
def test_the_command_with_its_flag_file():
    """All settings are those of the flag file, steps of Adam included, but for the benchmark and the budget."""
    archs, features, fitness = networks(300)
    fitness = np.float32(fitness).astype(float)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.savez(folder / "mine.npz", arch=archs, test=fitness)
        flags = (f"--benchmark={folder / 'mine.npz'}", "--budget=52", "--seed=7", f"--workdir={folder / 'run'}")
        assert lanas.main(["--flagfile=lanas_official", *flags]) == 0
        found = np.load(folder / "run" / "history.npz")["archs"]
    key = jax.random.key(7)
    config = dataclasses.replace(
        configs.PRESETS["lanas_official"], adam_steps_first=20_000, adam_steps=3000, num_select=20, height=5
    )
    rules = Rules(jax.random.fold_in(key, one_round.INIT_ROUND), config, features, fitness)
    for draw in range(52):
        at = rules.next(one_round.propose_key(jax.random.clone(key), draw))
        np.testing.assert_array_equal(found[draw], archs[at], err_msg=str(draw))
    assert rules.fitted == 50
