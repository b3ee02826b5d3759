"""Gaussian process over architectures against dense linear algebra in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from lanas_jax import kernel
from lanas_jax import process as processes

CAPACITY, NUM_FEATURES = 12, 4

_update, _posterior, _predict = jax.jit(processes.update), jax.jit(kernel.posterior), jax.jit(kernel.predict)
_deviations = jax.jit(kernel.deviations)


def _rows(seed=0, num_rows=CAPACITY):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_rows, NUM_FEATURES)).astype(np.float32), rng.normal(size=num_rows).astype(np.float32)


def _matrix(left, right, rate):
    return np.exp(-rate * np.sum((left[:, None].astype(np.float64) - right[None]) ** 2, axis=-1))


class ProcessTest(parameterized.TestCase):
    def _fitted(self, masks):
        features, values = _rows()
        process = processes.empty(CAPACITY, CAPACITY)
        for mask in masks:
            process = _update(process, jnp.asarray(features), jnp.asarray(values), jnp.asarray(mask))
        return features, values, process

    def _dense(self, features, values, is_measured, scale):
        """Returns (mean, left out, deviations, index of the best model) functions of Q dense models."""
        known, targets = features[is_measured], values[is_measured].astype(np.float64)
        mean, count = targets.mean(), len(targets)
        inverses = [
            np.linalg.inv(_matrix(known, known, rate / scale) + noise * np.eye(count))
            for rate, noise in zip(processes.RATES, processes.NOISES)
        ]
        errors = np.stack([inverse @ (targets - mean) / np.diag(inverse) for inverse in inverses])
        score = -0.5 * count * np.log(np.mean(errors**2, axis=1))
        weights = np.exp(score - score.max())
        weights /= weights.sum()

        def predict(x):
            each = [
                _matrix(x, known, rate / scale) @ inverse @ (targets - mean)
                for rate, inverse in zip(processes.RATES, inverses)
            ]
            return mean + weights @ np.stack(each)

        def deviations(x):
            best = np.argmax(weights)
            cross, inverse = _matrix(x, known, processes.RATES[best] / scale), inverses[best]
            variance = (targets - mean) @ inverse @ (targets - mean) / count
            return np.sqrt(variance * (1 - np.sum(cross @ inverse * cross, axis=1)))

        return predict, targets - weights @ errors, deviations

    @parameterized.parameters(1, 3)
    def test_rows_that_come_in_any_order_give_the_dense_posterior(self, num_steps):
        last = np.arange(CAPACITY) % 4 != 1
        masks = [last & (np.arange(CAPACITY) < CAPACITY * (step + 1) // num_steps) for step in range(num_steps - 1)]
        # A row comes and goes before the last step.
        features, values, process = self._fitted([*masks, *[np.arange(CAPACITY) < 6] * (num_steps > 1), last])
        posterior = _posterior(process, features, values)
        predict, left_out, deviations = self._dense(features, values, last, float(process.scale))
        x = _rows(1, 5)[0]
        np.testing.assert_allclose(_predict(posterior, x), predict(x), atol=2e-4)
        np.testing.assert_allclose(_deviations(posterior, x), deviations(x), atol=2e-4)
        found = np.zeros(CAPACITY)
        found[np.asarray(process.rows)[np.asarray(posterior.is_held)]] = posterior.left_out[posterior.is_held]
        np.testing.assert_allclose(found[last], left_out, atol=1e-3)
        assert posterior.best == values[last].max()

    def test_the_scale_is_the_mean_squared_distance_of_the_first_rows(self):
        first = np.arange(CAPACITY) < 6
        features, _, process = self._fitted([first, np.ones(CAPACITY, bool)])
        distances = np.sum((features[:6, None] - features[None, :6]) ** 2, axis=-1)
        np.testing.assert_allclose(process.scale, distances.mean(), rtol=1e-5)

    def test_a_row_under_evaluation_lowers_the_deviation_of_its_neighbours_alone(self):
        features, values, process = self._fitted([np.arange(CAPACITY) < 8])
        posterior = jax.jit(kernel.with_room, static_argnums=1)(_posterior(process, features, values), 1)
        after = jax.jit(kernel.observe)(posterior, features[9], CAPACITY)
        before, later = _deviations(posterior, features[8:]), _deviations(after, features[8:])
        assert later[1] < 0.7 * before[1]
        assert np.all(later <= before + 1e-5)

    def test_without_rows_the_prior(self):
        features, values, process = self._fitted([np.zeros(CAPACITY, bool)])
        posterior = _posterior(process, features, values)
        np.testing.assert_array_equal(_predict(posterior, features), np.zeros(CAPACITY))
        assert np.all(np.isfinite(_deviations(posterior, features)))

    def test_more_rows_than_enter_or_leave_at_a_time(self):
        rng = np.random.default_rng(4)
        features, values = (
            rng.normal(size=(40, NUM_FEATURES)).astype(np.float32),
            np.arange(40.0)[::-1],
        )  # the first are the best
        process = processes.empty(40, 20)
        for size in (20, 40):
            process = _update(process, features, jnp.asarray(values, jnp.float32), np.arange(40) < size)
        known = features[np.asarray(process.rows)]
        for rate, noise, inverse in zip(processes.RATES, processes.NOISES, process.inverse):
            matrix = _matrix(known, known, rate / float(process.scale)) + noise * np.eye(20)
            np.testing.assert_allclose(inverse @ matrix, np.eye(20), atol=2e-3)

    def test_of_a_long_history_the_best_and_the_latest(self):
        max_rows, capacity = 8, 14
        features, _ = _rows(2, capacity)
        values = np.arange(capacity, dtype=np.float32)[::-1].copy()  # the first are the best
        process = processes.empty(capacity, max_rows)
        for size in (max_rows, capacity):
            process = _update(process, features, values, np.arange(capacity) < size)
        half = max_rows // 2
        expected = {*range(half), *range(capacity - half, capacity)}
        assert set(np.asarray(process.rows).tolist()) == expected


class ExpectedImprovementTest(parameterized.TestCase):
    def test_by_hand_and_far_below(self):
        # At the best value so far it is the deviation over sqrt(2 pi).
        got = kernel.log_expected_improvement(jnp.float32([1.0, 0.0]), jnp.float32([0.5, 0.1]), jnp.float32(1.0))
        np.testing.assert_allclose(got[0], np.log(0.5 / np.sqrt(2 * np.pi)), rtol=1e-5)
        # 0.1 phi(10) (1 / 10^2 - 3 / 10^4 + ...) = 0.1 exp(-50.9189 - 4.6346).
        np.testing.assert_allclose(got[1], np.log(0.1) - 50.9189 - 4.6346, atol=3e-3)

    def test_rises_with_the_mean_across_the_two_formulas(self):
        mean = jnp.linspace(-6.0, -4.0, 200)
        assert np.all(np.diff(kernel.log_expected_improvement(mean, jnp.ones(200), jnp.float32(0.0))) > 0)
