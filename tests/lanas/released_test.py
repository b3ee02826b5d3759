"""`lanas_official` against the rules of the code released for NAS-Bench-101, written again in NumPy.

Both see the same history; every draw of the search is compared with the tree, the bounds and the leaf by the rules.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from common import history as histories
from common import rows, spaces, types
from common.spaces import factory
from lanas_jax import adam, search
from lanas_jax import config as configs

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
            gradient *= min(1.0, 5.0 / np.linalg.norm(gradient))
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
    for _ in range(HEIGHT - 1):
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


def test_every_draw_is_one_by_the_rules():
    base = spaces.get("nasbench101_lanas")
    archs = np.unique(np.asarray(jax.jit(base.sample, static_argnums=1)(jax.random.key(3), 400)), axis=0)
    space = factory.listed(base, archs)
    features = np.asarray(jax.jit(base.features)(archs), float)
    fitness = 0.4 + 0.1 * np.sin(features @ np.arange(1.0, 50.0)) + 0.3 * features[:, 42:].mean(axis=1)
    searcher = search.searcher(space, CONFIG)

    history = histories.empty(NUM_INITIAL + NUM_DRAWS, archs.shape[1])
    state = searcher.init(jax.random.key(0), history)
    first = adam.init(jax.random.key(0), CONFIG.num_nodes, features.shape[1]).params
    nodes = [Node(*one) for one in zip(np.asarray(first["weights"]), np.asarray(first["bias"]), strict=True)]
    propose = jax.jit(lambda key, state, history: searcher.propose(key, state, history, count=1))
    taken, fitted, num_compared = [], 0, 0
    for draw in range(NUM_INITIAL + NUM_DRAWS):
        rows_before = np.array(taken, int)
        proposed, state = propose(jax.random.fold_in(jax.random.key(1), draw), state, history)
        at = int(rows.find(archs, proposed)[0])
        assert at not in taken
        if draw >= NUM_INITIAL:
            if not fitted or draw - fitted >= NUM_SELECT:
                num_steps = STEPS[1] if fitted else STEPS[0]
                counts, sums = fit(nodes, features[rows_before], fitness[rows_before], num_steps)
                fitted, leaves = draw, leaves_of(nodes, features)
                inner = len(nodes) // 2
                np.testing.assert_allclose(
                    state.tree.weights[:inner], [node.params[:-1] for node in nodes[:inner]], atol=1e-5
                )
                np.testing.assert_allclose(
                    state.tree.threshold[:inner], [n.threshold for n in nodes[:inner]], atol=1e-4
                )
            free = np.setdiff1d(np.arange(len(archs)), taken)
            assert leaves[at] == int(state.leaves[draw]), "from its leaf by prediction"
            for parent, child in zip(path(leaves[at]), path(leaves[at])[1:]):
                other = child - 1 if child % 2 == 0 else child + 1
                below = [leaf for leaf in leaves[free] if other in path(leaf)]
                if below:
                    assert bound(counts, sums, child) >= bound(counts, sums, other) - 1e-4, (draw, parent)
                num_compared += bool(below)
            counts[path(leaves[at])] += 1
            sums[path(leaves[at])] += fitness[at]
        taken.append(at)
        evaluation = types.Evaluation(fitness=jnp.float32(fitness[[at]]), cost=jnp.ones(1), ok=jnp.array([True]))
        history = histories.append(history, proposed, evaluation)
    assert num_compared >= NUM_DRAWS
    assert len(set(leaves[np.array(taken[NUM_INITIAL:])])) > 1
