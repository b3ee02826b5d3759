"""Training: loss against NumPy, contents of an epoch, masked rows, Adam with weight decay by hand."""

import dataclasses
import functools
from unittest import mock

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import parameterized

from nao_jax import config as configs
from nao_jax import model as models
from nao_jax import training

NUM_TOKENS, VOCABULARY = 4, 5
CAPACITY, NUM_OTHERS = 12, 5
MODEL = configs.Model(
    embedding_size=4,
    hidden_size=4,
    is_bidirectional=False,
    encoder_dropout=0.0,
    predictor="mlp",
    predictor_layers=1,
    predictor_size=4,
    predictor_dropout=0.0,
    decoder="plain",
    decoder_dropout=0.0,
)
SWAPS = (np.array([[1, 0, 2, 3], [0, 1, 3, 2]], np.int32),)


def config(**fields):
    """Settings whose combinations are not checked here."""
    small = {"batch_size": 4, "learning_rate": 0.01, "num_copies": 1, "augmentation": "none", "fit_unit": "minibatches"}
    return dataclasses.replace(configs.Config(), model=MODEL, **(small | fields))


@functools.cache
def network(seed=0, **fields):
    """Returns (model, params)."""
    model = models.Model(dataclasses.replace(MODEL, **fields), NUM_TOKENS, VOCABULARY)
    blank = jnp.zeros((1, NUM_TOKENS), jnp.int32)
    return model, jax.jit(model.init)(jax.random.key(seed), blank, blank)


def examples(seed=0):
    """Rows of random tokens, of which two in three are labelled; those after the history are not."""
    random, num_rows = np.random.default_rng(seed), CAPACITY + NUM_OTHERS
    weights = (np.arange(num_rows) % 3 < 2) & (np.arange(num_rows) < CAPACITY)
    return training.Examples(
        tokens=jnp.asarray(random.integers(1, VOCABULARY, (num_rows, NUM_TOKENS)), jnp.int32),
        features=jnp.zeros((num_rows, 0)),
        targets=jnp.asarray(random.standard_normal(num_rows), jnp.float32),
        weights=jnp.asarray(weights, jnp.float32),
    )


@functools.cache
def _loss_and_gradient(model):
    """(params, key, batch, is_in, mse_weight) -> (loss, gradient), compiled once a model."""

    def loss(params, key, batch, is_in, mse_weight):
        return training.loss(params, model, key, batch, is_in, mse_weight=mse_weight)

    return jax.jit(jax.value_and_grad(loss))


class LossTest(chex.TestCase):
    WEIGHTS = (1.0, 0.0, 1.0, 0.5, 1.0)
    IS_IN = (True, True, True, True, False)

    def batch(self):
        return jax.tree.map(lambda values: values[:5], examples()).replace(weights=jnp.array(self.WEIGHTS))

    def loss(self, batch, mse_weight=0.7):
        """Returns (loss, gradient)."""
        model, params = network()
        return _loss_and_gradient(model)(params, jax.random.key(9), batch, jnp.array(self.IS_IN), mse_weight)

    @parameterized.parameters(0.0, 0.7, 1.0)
    def test_joint_loss_by_numpy(self, mse_weight):
        model, params = network()
        batch = self.batch()
        tokens = np.asarray(batch.tokens)
        inputs = np.concatenate([np.zeros((5, 1), int), tokens[:, :-1]], axis=1)  # the same tokens, shifted right
        found = jax.jit(model.apply)(params, batch.tokens, inputs)
        _, prediction, logits = (np.asarray(values, np.float64) for values in found)
        weights, targets = np.array(self.WEIGHTS)[:4], np.asarray(batch.targets, np.float64)[:4]
        squared = np.sum(weights * (prediction[:4] - targets) ** 2) / 2.5
        log_probs = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
        entropy = -np.mean([log_probs[row, at, tokens[row, at]] for row in range(4) for at in range(NUM_TOKENS)])
        expected = mse_weight * squared + (1 - mse_weight) * entropy
        np.testing.assert_allclose(self.loss(batch, mse_weight)[0], expected, rtol=1e-5)

    def test_weights_that_favour_good_architectures(self):
        model, params = network()
        batch = self.batch()
        prediction = np.asarray(jax.jit(model.apply)(params, batch.tokens, models.shift_right(batch.tokens))[1])
        targets, weights = np.asarray(batch.targets)[:4], np.array(self.WEIGHTS)[:4]
        share = weights * np.exp(targets) / np.sum(np.exp(targets[weights > 0]))
        expected = np.sum(share * (prediction[:4] - targets) ** 2) / np.sum(share)
        unknown = batch.replace(targets=batch.targets.at[jnp.array([1, 4])].set(jnp.nan))
        weigh = jax.jit(functools.partial(training.loss, mse_weight=1.0, loss_weights="softmax"), static_argnums=1)
        for given in (batch, unknown):
            found = weigh(params, model, jax.random.key(9), given, jnp.array(self.IS_IN))
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_without_a_label_there_is_only_reconstruction(self):
        batch = self.batch().replace(weights=jnp.zeros(5))
        assert self.loss(batch, 1.0)[0] == 0.0
        gradient = self.loss(batch, 0.5)[1]["params"]
        assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient["predictor"]))
        assert np.any(gradient["encoder"]["forward_weights"] != 0)

    def test_targets_of_the_unlabelled_and_rows_that_fill_up_do_not_matter(self):
        batch = self.batch()
        other = batch.replace(
            tokens=batch.tokens.at[4].set(1),
            targets=batch.targets.at[jnp.array([1, 4])].set(jnp.nan),
            weights=batch.weights.at[4].set(jnp.nan),
        )
        chex.assert_trees_all_equal(self.loss(other), self.loss(batch))

    def test_bfloat16_has_nearly_the_same_gradient_of_float32_parameters(self):
        fields = {"embedding_size": 16, "hidden_size": 16, "attention": "general", "decoder": "residual"}
        fields |= {"has_features": True, "is_bidirectional": True}
        model = models.Model(dataclasses.replace(MODEL, **fields), NUM_TOKENS, VOCABULARY)
        batch = self.batch().replace(features=jnp.linspace(-1.0, 1.0, 15).reshape(5, 3))
        blank = jnp.zeros((1, NUM_TOKENS), jnp.int32)
        params = jax.jit(model.init)(jax.random.key(0), blank, blank, features=batch.features[:1])
        key, is_in = jax.random.key(9), jnp.array(self.IS_IN)
        loss = functools.partial(training.loss, mse_weight=0.5)
        differentiate = jax.jit(jax.value_and_grad(loss), static_argnames=("model", "dtype"))
        (expected, exact), (value, gradient) = (
            differentiate(params, model, key, batch, is_in, dtype=dtype) for dtype in (None, "bfloat16")
        )
        assert {leaf.dtype for leaf in jax.tree.leaves((value, gradient))} == {jnp.dtype("float32")}
        assert value != expected
        np.testing.assert_allclose(value, expected, rtol=0.01)
        one, other = (jax.flatten_util.ravel_pytree(tree)[0] for tree in (exact, gradient))
        cosine = one @ other / jnp.linalg.norm(one) / jnp.linalg.norm(other)
        assert cosine > 0.999, cosine

    def test_units_are_dropped(self):
        model, params = network(encoder_dropout=0.5)
        keys, is_in = jax.random.split(jax.random.key(0)), jnp.ones(5, bool)
        one, two = (_loss_and_gradient(model)(params, key, self.batch(), is_in, 0.5)[0] for key in keys)
        assert one != two


class SizesTest(parameterized.TestCase):
    def total(self, num_history, num_others, **fields):
        size = training.sizes(CAPACITY, jnp.int32(num_history), num_others, config(**fields))
        assert size.total <= training.max_examples(CAPACITY, num_others, config(**fields))
        return int(size.num_copies), int(size.num_others), int(size.total)

    def test_by_hand(self):
        assert (self.total(7, 5, num_copies=1), self.total(7, 0, num_copies=10)) == ((1, 5, 12), (10, 0, 70))
        assert self.total(7, 20, num_copies=0) == (3, 20, 41)  # 3 x 7 is the first multiple to reach 20
        assert (self.total(10, 20, num_copies=0), self.total(11, 5, num_copies=0)) == ((2, 20, 40), (1, 5, 16))
        assert self.total(0, 5, num_copies=0) == (5, 5, 5)

    def test_no_epoch_is_longer_than_there_is_room(self):
        for num_history in range(CAPACITY + 1):
            for num_others in (1, 2, 7, 30):
                for num_copies in (0, 1, 3):
                    self.total(num_history, num_others, num_copies=num_copies)

    def test_minibatches(self):
        def number(unit, length, total):
            return int(training.num_minibatches(length, jnp.int32(total), config(fit_unit=unit, batch_size=4)))

        assert [number("minibatches", 7, total) for total in (1, 100)] == [7, 7]
        assert [number("epochs", 3, total) for total in (1, 3, 4, 5, 8, 9)] == [3, 3, 3, 6, 6, 9]


def _count(params, model, key, batch, is_in, **settings):
    """In place of the loss: its gradient is less 1 for every token that comes up."""
    del model, key, settings
    rows = batch.targets.astype(int)
    seen = params[rows[:, None], np.arange(NUM_TOKENS)[None], batch.tokens]
    return -jnp.sum(jnp.where(is_in[:, None], seen, 0.0))


@functools.cache
def _counted(settings):
    """A fit in which parameters are counters, compiled once for given settings."""

    @jax.jit
    def fit(key, made, num_history, num_others, num_steps):
        size = training.sizes(CAPACITY, num_history, NUM_OTHERS, settings)._replace(num_others=num_others)
        counts = jnp.zeros((CAPACITY + NUM_OTHERS, NUM_TOKENS, VOCABULARY))
        state = optax.sgd(1.0).init(counts)
        with (
            mock.patch.object(training, "loss", _count),
            mock.patch.object(training, "optimizer", return_value=optax.sgd(1.0)),
        ):
            return training.fit(None, counts, state, key, made, size, SWAPS, num_steps=num_steps, config=settings)[0]

    return fit


class EpochTest(chex.TestCase):
    """Counts of the examples of an epoch."""

    def counts(self, num_history, num_others, num_steps, *, seed=0, **fields):
        """Returns int[rows, tokens, vocabulary], how often each row had each token at each place."""
        made = examples().replace(targets=jnp.arange(CAPACITY + NUM_OTHERS, dtype=jnp.float32))
        sizes = (jnp.int32(size) for size in (num_history, num_others, num_steps))
        counts = np.asarray(_counted(config(**fields))(jax.random.key(seed), made, *sizes)).astype(int)
        rows = counts.sum(axis=2)
        np.testing.assert_array_equal(rows, np.repeat(rows[:, :1], NUM_TOKENS, axis=1))
        return counts

    def rows(self, *arguments, **fields):
        return self.counts(*arguments, **fields)[:, 0].sum(axis=-1).tolist()

    def expected(self, num_history, copies, num_others):
        history = [copies] * num_history + [0] * (CAPACITY - num_history)
        return history + [1] * num_others + [0] * (NUM_OTHERS - num_others)

    @parameterized.parameters(
        (7, 5, 1, 4),  # 12 examples in 3 minibatches
        (7, 0, 1, 4),  # 7 in 2, the last of them not full
        (12, 5, 3, 4),  # 41 in 11
        (1, 5, 2, 4),
        (1, 0, 1, 4),  # fewer than a minibatch
        (3, 2, 1, 64),
        (0, 5, 1, 4),
    )
    def test_an_epoch_holds_each_copy_of_each_row_once(self, num_history, num_others, copies, batch_size):
        fields = {"num_copies": copies, "batch_size": batch_size}
        per_epoch = -(-(num_history * copies + num_others) // batch_size)
        expected = np.array(self.expected(num_history, copies, num_others))
        assert self.rows(num_history, num_others, per_epoch, **fields) == expected.tolist()
        assert self.rows(num_history, num_others, 3 * per_epoch, **fields) == (3 * expected).tolist()

    def test_part_of_an_epoch_is_drawn_without_replacement_in_another_order_by_key_and_epoch(self):
        first, other = (np.array(self.rows(7, 5, 2, seed=seed)) for seed in (0, 1))
        for rows in (first, other):
            assert (rows.sum(), rows.max()) == (8, 1)
        assert np.any(first != other)
        second = np.array(self.rows(7, 5, 5)) - self.expected(7, 1, 5)  # after an epoch of 3
        assert (second.sum(), second.max()) == (8, 1)
        assert np.any(second != first)

    def test_fits_side_by_side_begin_their_epochs_at_different_minibatches(self):
        """Epochs of 7 + 5, 2 + 3 and 12 + 5 examples are 3, 2 and 5 minibatches."""
        fit, made, sizes = _counted(config()), examples(), ([7, 2, 12], [5, 3, 5])
        keys = jax.vmap(jax.random.key)(jnp.arange(3))
        together = jax.vmap(fit, in_axes=(0, None, 0, 0, None))(keys, made, *map(jnp.array, sizes), jnp.int32(9))
        for at, one in enumerate(zip(*sizes)):
            alone = fit(jax.random.key(at), made, *map(jnp.int32, one), jnp.int32(9))
            np.testing.assert_array_equal(together[at], alone)

    def test_as_many_copies_as_others(self):
        assert self.rows(2, 5, 3, num_copies=0) == self.expected(2, 3, 5)  # 2 x 3 + 5 in 3 minibatches

    def test_expand_swaps_all_but_the_first_copy_alike_in_every_epoch(self):
        fields = {"augmentation": "expand", "num_copies": 5}
        per_epoch = -(-(7 * 5 + 5) // 4)
        one = self.counts(7, 5, per_epoch, **fields)
        np.testing.assert_array_equal(self.counts(7, 5, 3 * per_epoch, **fields), 3 * one)
        assert np.any(self.counts(7, 5, per_epoch, seed=1, **fields) != one)
        tokens = np.asarray(examples().tokens)
        for row in range(7):
            first, second, third, fourth = tokens[row].tolist()
            original = jax.nn.one_hot(tokens[row], VOCABULARY, dtype=int)
            one_two = jax.nn.one_hot(jnp.array([second, first, third, fourth]), VOCABULARY, dtype=int)
            three_four = jax.nn.one_hot(jnp.array([first, second, fourth, third]), VOCABULARY, dtype=int)
            sums = [np.asarray(original + n * one_two + (4 - n) * three_four).tolist() for n in range(5)]
            assert one[row].tolist() in sums
        for row in range(CAPACITY, CAPACITY + 5):  # unlabelled ones come up once, as they are
            np.testing.assert_array_equal(one[row], np.eye(VOCABULARY, dtype=int)[tokens[row]])


@functools.cache
def _fit(settings, symmetries=()):
    """A fit of given settings, compiled once."""
    model, _ = network()

    @jax.jit
    def fit(params, opt_state, key, made, num_history, num_others, num_steps):
        size = training.sizes(CAPACITY, num_history, NUM_OTHERS, settings)._replace(num_others=num_others)
        return training.fit(model, params, opt_state, key, made, size, symmetries, num_steps=num_steps, config=settings)

    return fit


class FitTest(chex.TestCase):
    SETTINGS = config(num_copies=2)

    def fit(self, made, *, num_history=7, num_others=5, num_steps=9, seed=0):
        _, params = network()
        state = jax.jit(training.optimizer(self.SETTINGS).init)(params)
        sizes = (jnp.int32(size) for size in (num_history, num_others, num_steps))
        return _fit(self.SETTINGS)(params, state, jax.random.key(seed), made, *sizes)

    def test_a_fit_is_adam_on_the_loss_of_its_minibatches(self):
        """Where an epoch is one minibatch, its order does not matter and every step is on all of the data."""
        made = examples()
        model, params = network()
        optimizer = training.optimizer(self.SETTINGS)
        state = optimizer.init(params)
        batch = jax.tree.map(lambda values: values[:2].repeat(2, axis=0), made)

        @jax.jit
        def step(params, state):
            arguments = (jax.random.key(0), batch, jnp.ones(4, bool), self.SETTINGS.mse_weight)
            updates, state = optimizer.update(_loss_and_gradient(model)(params, *arguments)[1], state, params)
            return optax.apply_updates(params, updates), state

        expected = params
        for _ in range(3):
            expected, state = step(expected, state)
        found, found_state = self.fit(made, num_history=2, num_others=0, num_steps=3)
        chex.assert_trees_all_close(found, expected, atol=2e-5)
        chex.assert_trees_all_close(found_state, state, atol=2e-5)

    def test_rows_that_do_not_come_up_and_targets_nobody_knows_may_be_anything(self):
        made = examples()
        num_rows = jnp.arange(CAPACITY + NUM_OTHERS)
        is_out = ((num_rows >= 7) & (num_rows < CAPACITY)) | (num_rows >= CAPACITY + 3)
        other = made.replace(
            tokens=jnp.where(is_out[:, None], 99, made.tokens),
            targets=jnp.where(is_out | (made.weights == 0), jnp.nan, made.targets),
            weights=jnp.where(is_out, jnp.nan, made.weights),
        )
        found, expected = (self.fit(each, num_others=3) for each in (other, made))
        chex.assert_trees_all_equal(found, expected)
        chex.assert_tree_all_finite(found)

    def test_weightless_rows_teach_to_write_but_not_to_predict(self):
        made = examples().replace(weights=jnp.zeros(CAPACITY + NUM_OTHERS))
        (found, _), (other, _) = (self.fit(each) for each in (made, made.replace(targets=1e6 * made.targets)))
        chex.assert_trees_all_equal(found, other)
        decayed = (1 - self.SETTINGS.learning_rate * self.SETTINGS.weight_decay) ** 9
        before, after = network()[1]["params"], found["params"]
        expected = jax.tree.map(lambda leaf: decayed * leaf, before["predictor"])
        chex.assert_trees_all_close(after["predictor"], expected, rtol=1e-6)
        assert np.abs(after["decoder"]["output_weights"] - before["decoder"]["output_weights"]).max() > 0.01

    def test_fewer_examples_than_a_minibatch(self):
        made = examples()
        found, _ = self.fit(made, num_history=1, num_others=0, num_steps=60)
        model, params = network()
        predict = jax.jit(lambda params: model.apply(params, made.tokens[:1], made.tokens[:1])[1][0])
        before, after = (abs(predict(each) - made.targets[0]) for each in (params, found))
        assert after < 0.3 * before


class OptimizerTest(chex.TestCase):
    """The first update of Adam is the rate times g / (|g| + 1e-8), so its signs are those of the gradient."""

    RATE, PENALTY = 0.01, 0.5

    def updates(self, decay, gradients, params, clip_norm=5.0):
        settings = config(learning_rate=self.RATE, weight_decay=self.PENALTY, decay=decay, clip_norm=clip_norm)
        optimizer = training.optimizer(settings)
        state = optimizer.init(params)
        for gradient in gradients:
            updates, state = optimizer.update(gradient, state, params)
        return np.asarray(updates)

    def test_first_update_by_hand(self):
        # The gradient (40, 3) has norm 40.11, clipped to 5: (4.99, 0.37). The penalty adds (0, -2) and takes away.
        gradient, params = jnp.array([40.0, 3.0]), jnp.array([0.0, -4.0])
        for decay, expected in (
            ("loss", [-0.01, -0.01]),  # of (40, 1), then clipped
            ("gradient", [-0.01, 0.01]),  # of (4.99, -1.63)
            ("decoupled", [-0.01, -0.01 + 0.01 * 2]),  # of (4.99, 0.37), and 0.01 x 0.5 x 4 beside
        ):
            np.testing.assert_allclose(self.updates(decay, [gradient], params), expected, rtol=1e-5)

    @parameterized.parameters("loss", "gradient", "decoupled")
    def test_second_update_by_numpy(self, decay):
        gradients = (np.array([40.0, 3.0]), np.array([-1.0, 2.0]))
        params, first, second = np.array([1.0, -4.0]), 0.0, 0.0
        for gradient in gradients:
            penalty = self.PENALTY * params
            if decay == "loss":
                gradient = gradient + penalty
            gradient = gradient * min(1, 5 / np.linalg.norm(gradient))
            if decay == "gradient":
                gradient = gradient + penalty
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = (first / (1 - 0.9**2)) / (np.sqrt(second / (1 - 0.999**2)) + 1e-8)
        if decay == "decoupled":
            step = step + penalty
        found = self.updates(decay, [jnp.asarray(g, jnp.float32) for g in gradients], jnp.asarray(params, jnp.float32))
        np.testing.assert_allclose(found, -self.RATE * step, rtol=1e-4)
