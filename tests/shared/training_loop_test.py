"""Steps and loops with a small network: one step, the order of images, resuming, masks, divergence."""

import dataclasses
import functools
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import parameterized

from common.training import config as configs
from common.training import loop, losses, sharding, stream
from common.training import state as states
from common.training import step as step_lib
from tests.shared import small_network


@functools.cache  # what is compiled for one test serves the next
def make_steps(config, network, inputs, num):
    return step_lib.steps(network, config, inputs, num_classes=3, num_images=num)


def make(config, *, network=None, inputs=small_network.INPUTS, num=22):
    steps = make_steps(config, network or small_network.Small(), inputs, num)
    keys = states.keys(jax.random.key(7))
    return steps, steps.init(keys.init, small_network.SHAPE), keys, small_network.make_data(num)


def last(chunks):
    return functools.reduce(lambda _, pair: pair[0], chunks, None)


CONFIG = configs.Config(num_epochs=3, batch_size=4, average_decay=0.9)
# Of 22 images 6 steps an epoch; with chunks of at most 2 steps its three programs serve several tests.
SHORT = dataclasses.replace(CONFIG, num_epochs=2, last_batch="keep")


class StepTest(chex.TestCase):
    def test_metrics_and_state_by_hand(self):
        config = dataclasses.replace(CONFIG, average_decay=0.75)
        steps, state, keys, data = make(config, network=small_network.Small(dropout=0.0), inputs=small_network.PLAIN)
        images, labels = data.images[:4], data.labels[:4]
        new, metrics = jax.jit(steps.train)(keys.step, state, images, labels)

        def loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, changed = small_network.Small(dropout=0.0).apply(
                variables, small_network.normalize(images), train=True, mutable=["batch_stats"]
            )
            targets = jax.nn.one_hot(labels, 3)
            main, auxiliary = (
                jnp.mean(optax.softmax_cross_entropy(scores, targets)) for scores in (logits.main, logits.auxiliary)
            )
            return main + 0.4 * auxiliary, (changed["batch_stats"], logits.main)

        (value, (batch_stats, scores)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(state.params)
        np.testing.assert_allclose(metrics.loss, value, rtol=1e-5)
        np.testing.assert_allclose(metrics.grad_norm, optax.tree.norm(gradient), rtol=1e-4)
        np.testing.assert_allclose(metrics.top1, np.mean(np.argmax(scores, axis=1) == labels))
        np.testing.assert_allclose(metrics.top5, 1.0)  # there are three classes
        np.testing.assert_allclose(metrics.learning_rate, 0.025)
        chex.assert_trees_all_close(new.batch_stats, batch_stats, rtol=1e-5)
        wanted = jax.tree.map(lambda p, g: p - 0.025 * (g + 3e-4 * p), state.params, gradient)
        chex.assert_trees_all_close(new.params, wanted, rtol=1e-4, atol=1e-6)
        average = jax.tree.map(
            lambda old, value: 0.75 * old + 0.25 * value, states.variables(state), states.variables(new)
        )
        chex.assert_trees_all_close(new.average, average, rtol=1e-5)
        assert int(new.step) == 1

    def test_mix_changes_inputs_and_targets(self):
        def mix(key, images, targets):
            return jnp.zeros_like(images), jnp.full_like(targets, 1 / 3)

        steps, state, keys, data = make(
            dataclasses.replace(CONFIG, loss=configs.Loss(auxiliary_weight=0.0)),
            network=small_network.Small(dropout=0.0),
            inputs=step_lib.Inputs(augment=small_network.PLAIN.augment, normalize=small_network.normalize, mix=mix),
        )
        _, metrics = jax.jit(steps.train)(keys.step, state, data.images[:4], data.labels[:4])
        np.testing.assert_allclose(metrics.loss, np.log(3), rtol=1e-5)  # zero images: all logits are zero

    def test_a_teacher_is_learned_from_in_one_program(self):
        """Its outputs are three times the mean of an image in each class: arguments of the program, no constants."""
        network = small_network.Small(dropout=0.0)
        steps, state, keys, data = make(CONFIG, network=network, inputs=small_network.PLAIN)
        images, labels = data.images[:4], data.labels[:4]
        apply = jax.jit(functools.partial(network.apply, train=True, mutable=["batch_stats"]))
        scores, _ = apply(states.variables(state), small_network.normalize(images))
        train = jax.jit(chex.assert_max_traces(steps.train, n=1))

        def logits(factors, images):
            return images.mean(axis=(1, 2)) * factors[None]

        for weight, factors in ((0.75, [1.0, 2.0, -1.0]), (1.0, [0.0, 3.0, 1.0])):
            teacher = losses.Teacher(jax.tree_util.Partial(logits, jnp.array(factors)), jnp.array(weight), 2.0)
            _, metrics = train(keys.step, state, images, labels, teacher=teacher)
            soft = jax.nn.softmax(logits(jnp.array(factors), small_network.normalize(images)) / 2)
            values = []
            for head in (scores.main, scores.auxiliary):
                hard = optax.softmax_cross_entropy_with_integer_labels(head, labels)
                divergence = jnp.sum(soft * (jnp.log(soft) - jax.nn.log_softmax(head / 2)), axis=1)
                values.append(jnp.mean((1 - weight) * hard + weight * 4 * divergence))
            np.testing.assert_allclose(metrics.loss, values[0] + 0.4 * values[1], rtol=1e-5)

    def test_distillation_by_hand(self):
        """Softened by the temperature 2: 3 / 4 and 1 / 4 taught, 1 / 2 and 1 / 2 predicted."""
        taught = jnp.array([[2 * np.log(3.0), 0.0]])
        value, gradient = jax.value_and_grad(losses.distillation)(jnp.zeros((1, 2)), taught, 2.0)
        np.testing.assert_allclose(value, 4 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5)), rtol=1e-5)
        np.testing.assert_allclose(gradient, [[2 * (0.5 - 0.75), 2 * (0.5 - 0.25)]], rtol=1e-5)
        np.testing.assert_allclose(losses.distillation(taught + 1, taught, 2.0), 0.0, atol=1e-6)

    def test_is_right(self):
        scores = jnp.array([[6.0, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]])
        top1, top5 = step_lib.is_right(scores, jnp.array([0, 2, 6]))
        np.testing.assert_array_equal(top1, [True, False, False])
        np.testing.assert_array_equal(top5, [True, True, False])


class PlanTest(parameterized.TestCase):
    @parameterized.parameters(
        *((0, 15, 0, "drop", [(5, 4)] * 3), (2, 11, 0, "drop", [(3, 4), (5, 4), (1, 4)])),
        *((0, 10, 2, "drop", [(2, 4), (2, 4), (1, 4)] * 2), (0, 12, 0, "keep", [(5, 4), (1, 2)] * 2)),
        *((3, 8, 2, "keep", [(1, 4), (1, 4), (1, 2), (2, 4)]), (5, 6, 2, "keep", [(1, 2)]), (4, 4, 0, "drop", [])),
    )
    def test_22_images_in_batches_of_4(self, start, stop, most, last_batch, wanted):
        config = configs.Config(batch_size=4, last_batch=last_batch)
        assert list(loop.plan(config, 22, start=start, stop=stop, most=most)) == wanted


class TrainTest(parameterized.TestCase):
    def test_an_epoch_sees_every_image_once_in_an_order_of_its_own(self):
        key = jax.random.key(3)
        orders = [np.asarray(loop.order(key, epoch, 22)) for epoch in range(3)]
        for found in orders:
            np.testing.assert_array_equal(np.sort(found), np.arange(22))
        assert not np.array_equal(orders[0], orders[1])
        np.testing.assert_array_equal(orders[1], loop.order(key, jnp.int32(1), 22))

    def test_a_loop_is_its_steps(self):
        steps, state, keys, data = make(SHORT)
        wanted = jax.tree.map(jnp.copy, state)
        step = jax.jit(steps.train)
        for epoch in range(2):
            rows = np.asarray(loop.order(keys.order, epoch, 22))
            for at in range(6):
                batch = rows[4 * at : 4 * at + 4]
                wanted, _ = step(keys.step, wanted, data.images[batch], data.labels[batch])
        found = last(loop.train(steps, state, keys, data, SHORT, most=2))
        assert int(found.step) == 12
        chex.assert_trees_all_close(found, wanted, rtol=1e-4, atol=1e-5)

    def test_resuming_from_a_state_is_exact_to_the_bit(self):
        steps, state, keys, data = make(SHORT)
        start = jax.tree.map(jnp.copy, state)
        whole = last(loop.train(steps, start, keys, data, SHORT, most=2))
        part = last(loop.train(steps, state, keys, data, SHORT, stop=7, most=2))
        resumed = last(loop.train(steps, jax.tree.map(jnp.asarray, jax.device_get(part)), keys, data, SHORT, most=2))
        chex.assert_trees_all_equal(jax.device_get(resumed), jax.device_get(whole))

    def test_chunks_say_what_they_did(self):
        steps, state, keys, data = make(SHORT)
        chunks = [chunk for _, chunk in loop.train(steps, state, keys, data, SHORT, stop=6, most=2)]
        assert [tuple(chunk[:3]) for chunk in chunks] == [(2, 2, 8), (4, 2, 8), (5, 1, 4), (6, 1, 2)]
        assert all(chunk.seconds > 0 and chunk.metrics.loss.shape == (chunk.num_steps,) for chunk in chunks)

    def test_one_program_for_all_epochs(self):
        config = dataclasses.replace(CONFIG, num_epochs=4)
        steps, state, keys, data = make(config)
        traced = chex.assert_max_traces(steps.train, n=1)
        last(loop.train(steps._replace(train=traced), state, keys, data, config))


def host_batches(images, labels, keys, config, *, start):
    """Yields the batches from step `start` to the last epoch's end, as `loop.train` takes them."""
    per_epoch = configs.steps_per_epoch(config, len(labels))
    for step in range(start, config.num_epochs * per_epoch):
        epoch, at = divmod(step, per_epoch)
        rows = np.asarray(loop.order(keys.order, epoch, len(labels)))
        batch = rows[at * config.batch_size : (at + 1) * config.batch_size]
        yield images[batch], labels[batch]


class StreamTest(parameterized.TestCase):
    def check(self, config, start, most, teacher=None):
        steps, state, keys, data = make(config)
        state = state.replace(step=jnp.int32(start))
        copy, settings = jax.tree.map(jnp.copy, state), {"most": most, "teacher": teacher}
        wanted = last(loop.train(steps, copy, keys, data, config, **settings))
        batches = host_batches(np.asarray(data.images), np.asarray(data.labels), keys, config, start=start)
        found = last(stream.train(steps, state, keys, batches, **settings))
        assert int(found.step) == int(wanted.step)
        chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)
        assert list(stream.train(steps, found, keys, batches, **settings)) == []  # none are left

    def test_a_stream_is_the_same_training(self):
        self.check(SHORT, 0, 2)

    def test_the_rest_of_a_training_with_a_teacher(self):
        teacher = losses.Teacher(jax.tree_util.Partial(lambda images: images[:, 0, :3, 0]), 0.5, 1.0)
        self.check(CONFIG, 8, 1, teacher)


class EvaluateTest(parameterized.TestCase):
    @parameterized.parameters(1, 5, 22, 100)
    def test_any_batch_size_gives_the_same(self, batch_size):
        steps, state, _, data = make(CONFIG)
        found = loop.evaluator(steps, batch_size=batch_size)(states.averaged(state), data)
        images = small_network.normalize(data.images)
        apply = jax.jit(functools.partial(small_network.Small().apply, train=False))
        scores = apply(states.averaged(state), images).main
        np.testing.assert_allclose(found["top1"], np.mean(np.argmax(scores, axis=1) == data.labels), rtol=1e-6)
        loss = optax.softmax_cross_entropy(scores, jax.nn.one_hot(data.labels, 3))
        np.testing.assert_allclose(found["loss"], jnp.mean(loss), rtol=1e-5)

    def test_nothing_to_evaluate(self):
        steps, state, _, data = make(CONFIG)
        with self.assertRaisesRegex(ValueError, "no images"):
            loop.evaluator(steps, batch_size=4)(states.averaged(state), jax.tree.map(lambda x: x[:0], data))


class DivergedTest(parameterized.TestCase):
    @parameterized.parameters(("loss", np.nan, 7, [5]), ("grad_norm", np.inf, 0, []))
    def test_last_good_step(self, name, value, step, chunks):
        steps, state, keys, data = make(CONFIG)

        def train(key, state, images, labels):
            new, metrics = steps.train(key, state, images, labels)
            return new, dataclasses.replace(metrics, **{name: jnp.where(state.step == step, value, metrics[name])})

        seen = []
        with self.assertRaisesRegex(loop.DivergedError, f"step {step} was the last whose loss") as caught:
            for _, chunk in loop.train(steps._replace(train=train), state, keys, data, CONFIG):
                seen.append(chunk.step)
        assert (caught.exception.last_good_step, seen) == (step, chunks)


class ShardingTest(parameterized.TestCase):
    def test_batches_that_cannot_be_split(self):
        mesh = mock.Mock(size=8)
        sharding.check_batch(64, mesh)
        with self.assertRaisesRegex(ValueError, "batch_size must be a multiple of the number of devices, 8; got 60"):
            sharding.check_batch(60, mesh)

    @parameterized.parameters(
        ((None, 2, 0), "2 processes need a coordinator"),
        (("localhost:1", 2, None), "give both num_processes and process_id"),
        (("localhost:1", 2, 2), "process_id must be from 0 to 1; got 2"),
    )
    def test_processes_that_cannot_connect(self, arguments, message):
        coordinator, num_processes, process_id = arguments
        with self.assertRaisesRegex(ValueError, message):
            sharding.connect(coordinator, num_processes=num_processes, process_id=process_id)
