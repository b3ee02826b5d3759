"""The recurrent cell against NumPy and against automatic differentiation; language models; shared weights."""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import genotypes, spaces
from common.genotypes import conversion, published
from common.genotypes.genotype import RecurrentGenotype, RecurrentNode
from common.language import config as configs
from common.language import highway, recurrent
from common.language import step as language_step

T, B, H, V = 3, 3, 5, 7
NAO, NAO_WS = (published.get(name) for name in ("nao_ptb", "nao_ws_ptb"))
# Every activation, a subset of states as output, two nodes that read the same state, node 1 read last.
SMALL = RecurrentGenotype(
    tuple(
        RecurrentNode(*node)
        for node in (("tanh", 0), ("sigmoid", 0), ("relu", 2), ("identity", 1), ("tanh", 2), ("relu", 1))
    ),
    output=(0, 3, 4, 6),
)
DROPOUT = configs.Dropout(
    dropout_output=0.5, dropout_hidden=0.25, dropout_cell_input=0.5, dropout_input=0.2, dropout_word=0.3
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


BENDS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "identity": lambda x: x, "sigmoid": sigmoid}


def by_hand(genotype, words, hidden, params, masks):
    """The equations of the language model in NumPy, one step and one node at a time."""
    params, masks = (jax.tree.map(lambda x: np.asarray(x, np.float64), tree) for tree in (params, dict(masks)))
    table, first, nodes = params["table"], params["first"], params["cell"]["nodes"]
    h, raw = np.asarray(hidden, np.float64), []
    for step in np.asarray(words):
        x = table[step] * masks["word"][step] * masks["input"] * masks["cell_input"]
        c, a = np.split(np.concatenate([x, h * masks["hidden"]], axis=1) @ first, 2, axis=1)
        states = [h + sigmoid(c) * (np.tanh(a) - h)]
        for node, weights in zip(genotype.nodes, nodes, strict=True):
            before = states[node.state]
            c, a = np.split(before * masks["hidden"] @ weights, 2, axis=1)
            states.append(before + sigmoid(c) * (BENDS[node.activation](a) - before))
        h = np.mean([states[at] for at in genotype.output], axis=0)
        raw.append(h)
    dropped = np.stack(raw) * masks["output"]
    return np.stack(raw), dropped, dropped @ table.T + params["bias"]


@functools.cache
def example(scale=1.0):
    """Returns words, a hidden state, and parameters of NAO's cell, larger than the initial ones."""
    keys = jax.random.split(jax.random.key(0), 5)
    words, hidden = jax.random.randint(keys[0], (T, B), 0, V), jax.random.normal(keys[1], (B, H))
    model = recurrent.language_model(NAO, vocabulary_size=V, width=H, dropout=DROPOUT)
    params = jax.jit(model.init)(keys[2], words, hidden)["params"]
    params = {**params, "bias": jax.random.normal(keys[3], (V,))}
    return words, hidden, jax.tree.map(lambda p: p * scale / recurrent.INIT_RANGE, params)


def first_nodes(params, num):
    return {**params, "cell": {"nodes": params["cell"]["nodes"][:num]}}


def cells_input(seed=1, num_nodes=11):
    """Returns the arguments of `highway.read` except the wiring."""
    rng = np.random.default_rng(seed)
    shapes = {
        "projected": (T, B, 2 * H),
        "first": (H, 2 * H),
        "nodes": (num_nodes, H, 2 * H),
        "mask": (B, H),
        "hidden": (B, H),
    }
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def plainly(wiring, projected, first, nodes, mask, hidden, rounded=lambda factor: factor):
    """The cell for automatic differentiation: no scan, no fused products. `rounded`: of the factors of products."""
    bends = (jnp.tanh, jax.nn.relu, lambda x: x, jax.nn.sigmoid)
    outputs = []
    for gates in projected:
        c, a = jnp.split(gates + rounded(hidden * mask) @ rounded(first), 2, axis=1)
        states = [hidden + jax.nn.sigmoid(c) * (jnp.tanh(a) - hidden)]
        for weights, state, activation in zip(nodes, wiring.states, wiring.activations, strict=True):
            c, a = jnp.split(rounded(states[state] * mask) @ rounded(weights), 2, axis=1)
            states.append(states[state] + jax.nn.sigmoid(c) * (bends[activation](a) - states[state]))
        hidden = sum(states[at] for at in wiring.output) / len(wiring.output)
        outputs.append(hidden)
    return jnp.stack(outputs)


class CellTest(chex.TestCase):
    @parameterized.parameters((NAO, False), (SMALL, True))
    def test_a_language_model_against_numpy(self, genotype, train):
        words, hidden, params = example()
        params = first_nodes(params, len(genotype.nodes))
        model = recurrent.language_model(genotype, vocabulary_size=V, width=H, dropout=DROPOUT)
        key = jax.random.key(3)
        drawn = []

        def masks(key, *arguments):
            drawn.append(recurrent_masks(key, *arguments))
            return drawn[-1]

        recurrent_masks = recurrent.masks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recurrent, "masks", masks)
            rngs = {"dropout": key} if train else {}
            reading = model.apply({"params": params}, words, hidden, train=train, rngs=rngs)
        raw, dropped, logits = by_hand(genotype, words, hidden, params, drawn[0])
        np.testing.assert_allclose(reading.raw, raw, rtol=0, atol=3e-6)
        np.testing.assert_allclose(reading.dropped, dropped, rtol=0, atol=6e-6)
        np.testing.assert_allclose(reading.logits, logits, rtol=0, atol=5e-5)

    @parameterized.parameters((SMALL, False), (SMALL, True))
    def test_the_derivative_against_automatic_differentiation(self, genotype, is_data):
        wiring = recurrent.wiring(genotype)
        inputs = cells_input(num_nodes=len(genotype.nodes))
        weights = jnp.asarray(np.random.default_rng(2).normal(size=(T, B, H)), jnp.float32)
        mask = inputs.pop("mask")
        given = wiring
        if is_data:
            given = wiring._replace(states=jnp.array(wiring.states), activations=jnp.array(wiring.activations))

        def loss(run, wiring, inputs):
            outputs = run(wiring, **inputs, mask=mask)
            return jnp.sum(weights * outputs), outputs

        def gradient(run, wiring):
            return jax.jit(jax.grad(functools.partial(loss, run, wiring), has_aux=True))(inputs)

        got, outputs = gradient(highway.read, given)
        expected, expected_outputs = gradient(plainly, wiring)
        np.testing.assert_allclose(outputs, expected_outputs, rtol=2e-5, atol=1e-5)
        chex.assert_trees_all_close(got, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(highway.read(given, **inputs, mask=mask), outputs, rtol=1e-6, atol=1e-6)

    def test_half_precision(self):
        """Factors are rounded, sums are not: values are exact, gradients up to the rounding of their own factors."""
        wiring, inputs = recurrent.wiring(SMALL), cells_input(num_nodes=len(SMALL.nodes))

        def half(factor):
            return factor.astype(jnp.bfloat16).astype(jnp.float32)

        def loss(run, inputs):
            outputs = run(wiring, **inputs)
            return jnp.sum(jnp.sin(outputs)), outputs

        def narrow(wiring, first, nodes, **inputs):
            return highway.read(wiring, first=first.astype(jnp.bfloat16), nodes=nodes.astype(jnp.bfloat16), **inputs)

        def differentiate(run):
            return jax.jit(jax.grad(functools.partial(loss, run), has_aux=True))(inputs)

        got, outputs = differentiate(narrow)
        expected, expected_outputs = differentiate(functools.partial(plainly, rounded=half))
        np.testing.assert_allclose(outputs, expected_outputs, rtol=1e-5, atol=1e-5)
        for name in ("projected", "first", "nodes", "hidden"):
            assert got[name].dtype == jnp.float32
            scale = float(jnp.max(jnp.abs(expected[name])))
            np.testing.assert_allclose(got[name], expected[name], atol=0.02 * scale, err_msg=name)

    def test_a_language_model_in_half_precision(self):
        words, hidden, params = example()
        plain, narrow = (
            recurrent.language_model(NAO, vocabulary_size=V, width=H, dropout=DROPOUT, dtype=dtype)
            for dtype in (None, "bfloat16")
        )
        readings = [model.apply({"params": params}, words, hidden) for model in (plain, narrow)]
        assert readings[1].logits.dtype == jnp.float32
        assert np.any(readings[0].raw != readings[1].raw)
        np.testing.assert_allclose(*(jax.nn.log_softmax(one.logits) for one in readings), atol=0.5)

    def test_one_trace_for_all_architectures(self):
        archs = spaces.get("nao_rnn").sample(jax.random.key(0), 6)
        ones = recurrent.masks(None, DROPOUT, (B, H), V)
        words, hidden, params = example()
        model = recurrent.LanguageModel(V, H, recurrent.AnyCell(H))

        @jax.jit
        @chex.assert_max_traces(n=1)
        def read(arch):
            return model.apply({"params": params}, words, hidden, arch=arch)

        for arch in archs:
            genotype = conversion.from_arch("nao_rnn", np.asarray(arch))
            raw, _, _ = by_hand(genotype, words, hidden, params, ones)
            np.testing.assert_allclose(read(arch).raw, raw, rtol=0, atol=3e-6)
        assert len(np.unique([np.asarray(read(arch).raw).sum() for arch in archs])) == len(archs)


class MaskTest(chex.TestCase):
    def test_rates_and_scale(self):
        masks = recurrent.masks(jax.random.key(0), DROPOUT, (200, 100), 5000)
        for name, mask in dict(masks).items():
            share, mask = getattr(DROPOUT, f"dropout_{name}"), np.asarray(mask)
            np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - share)], rtol=1e-6)
            assert abs(np.mean(mask == 0) - share) < 5 * math.sqrt(share * (1 - share) / mask.size)


class FrozenTest(chex.TestCase):
    def test_nodes_without_gradient(self):
        """Outputs and all other gradients stay; the weights of a frozen node have no gradient."""
        words, hidden = jnp.array([[1], [2], [3]]), jnp.ones((1, H))
        arch = spaces.get("nao_rnn").sample(jax.random.key(4), 1)[0]
        none = configs.Dropout(0.3, 0.0, 0.3, 0.0, 0.0)

        @functools.partial(jax.jit, static_argnames="share")
        def gradient(key, share):
            dropout = dataclasses.replace(none, dropout_node=share)
            network = recurrent.supernet(vocabulary_size=V, width=H, dropout=dropout)
            params = network.init(jax.random.key(0), words, hidden, arch=arch)["params"]

            def total(params):
                reading = network.apply({"params": params}, words, hidden, arch=arch, train=True, rngs={"dropout": key})
                return jnp.sum(jnp.square(reading.logits - 1))

            return jax.value_and_grad(total)(params)

        at, num_frozen, num = np.asarray(recurrent.block_numbers(arch)), 0, 30
        for seed in range(num):
            (plain, expected), (frozen, got) = (gradient(jax.random.key(seed), share) for share in (0.0, 0.25))
            np.testing.assert_allclose(frozen, plain, rtol=1e-6)  # two programs may round differently
            blocks, expected_blocks = (np.asarray(tree.pop("cell")["blocks"]) for tree in (got, expected))
            chex.assert_trees_all_close(got, expected, rtol=1e-4, atol=1e-9)
            is_frozen = np.all(blocks[at] == 0, axis=(1, 2))
            learns = at[~is_frozen]
            np.testing.assert_allclose(blocks[learns], expected_blocks[learns], rtol=1e-4, atol=1e-9)
            assert np.all(np.any(expected_blocks[at] != 0, axis=(1, 2)))
            num_frozen += is_frozen.sum()
        assert abs(num_frozen / (11 * num) - 0.25) < 3 * math.sqrt(0.25 * 0.75 / (11 * num))


class SizeTest(chex.TestCase):
    def num_params(self, model, arch):
        words, hidden = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, model.width))
        shapes = jax.eval_shape(lambda key: model.init(key, words, hidden, arch=arch), jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))

    @parameterized.parameters((850, 10_000, 27_295_000), (700, 33_278, 36_067_878))
    def test_published_networks(self, width, vocabulary_size, expected):
        model = recurrent.language_model(NAO, vocabulary_size=vocabulary_size, width=width)
        assert self.num_params(model, None) == expected
        claims = genotypes.published.PUBLISHED["nao_ptb"].claims
        assert expected in [claim.params for claim in claims]

    def test_shared_weights(self):
        model = recurrent.supernet(vocabulary_size=10_000, width=300)
        assert self.num_params(model, jnp.zeros(22, jnp.int32)) == 50_890_000

    def test_initial_parameters(self):
        words, hidden = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, H))
        model = recurrent.language_model(NAO, vocabulary_size=V, width=H)
        params = jax.jit(model.init)(jax.random.key(0), words, hidden)["params"]
        assert not np.any(params["bias"])
        for weights in (params["table"], params["first"], params["cell"]["nodes"]):
            assert 0.03 < np.abs(weights).max() <= recurrent.INIT_RANGE

    def test_raises(self):
        with self.assertRaisesRegex(ValueError, "node 1 has the activation 'swish'; choose one of tanh, relu"):
            recurrent.language_model(RecurrentGenotype((RecurrentNode("swish", 0),), (1,)), vocabulary_size=V, width=H)
        with self.assertRaisesRegex(ValueError, "width must be at least 1; got 0"):
            recurrent.language_model(NAO, vocabulary_size=V, width=0)
        words, hidden, params = example()
        with self.assertRaisesRegex(ValueError, "is fixed; call it without arch"):
            recurrent.language_model(NAO, vocabulary_size=V, width=H).apply(
                {"params": params}, words, hidden, arch=jnp.zeros(22, jnp.int32)
            )


def extract(params, arch):
    """The parameters of one cell, copied from the shared ones."""
    return {**params, "cell": {"nodes": params["cell"]["blocks"][recurrent.block_numbers(arch)]}}


class SupernetTest(chex.TestCase):
    def test_block_numbers(self):
        # Node 1 has blocks 0 to 3, node 2 has 4 to 11, node 3 has 12 to 23; the last one 263.
        arch = np.zeros(22, np.int32)
        arch[:6] = [0, 3, 1, 2, 2, 0]
        arch[20:] = [10, 3]
        numbers = np.asarray(recurrent.block_numbers(jnp.asarray(arch)))
        np.testing.assert_array_equal(numbers[:3], [3, 4 + 6, 12 + 8])
        assert numbers[-1] == 263

    @pytest.mark.slow
    def test_a_cell_on_shared_weights_is_the_stand_alone_cell_whose_output_is_all_states(self):
        words, hidden, _ = example()
        model = recurrent.supernet(vocabulary_size=V, width=H, dropout=DROPOUT)
        arch = spaces.get("nao_rnn").sample(jax.random.key(5), 1)[0]
        params = model.init(jax.random.key(0), words, hidden, arch=arch)["params"]
        params = jax.tree.map(lambda p: p / recurrent.INIT_RANGE, params)
        genotype = RecurrentGenotype(conversion.from_arch("nao_rnn", np.asarray(arch)).nodes, recurrent.ALL_STATES)
        fixed = recurrent.language_model(genotype, vocabulary_size=V, width=H, dropout=DROPOUT)
        targets = jnp.roll(words, -1, axis=0)

        def loss(model, params, arch=None):
            rngs = {"dropout": jax.random.key(2)}
            reading = model.apply({"params": params}, words, hidden, arch=arch, train=True, rngs=rngs)
            return jnp.sum(language_step.score(reading, targets, hidden, jnp.int32(T))[0])

        value, gradient = jax.jit(jax.value_and_grad(functools.partial(loss, model, arch=arch)))(params)
        own = extract(params, arch)
        expected, expected_gradient = jax.jit(jax.value_and_grad(functools.partial(loss, fixed)))(own)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        chex.assert_trees_all_close(extract(gradient, arch), expected_gradient, rtol=1e-3, atol=1e-4)
        is_used = np.isin(np.arange(264), recurrent.block_numbers(arch))
        is_moved = np.any(np.asarray(gradient["cell"]["blocks"]), axis=(1, 2))
        np.testing.assert_array_equal(is_moved, is_used)
