"""Sharding: errors, and one process; tests/scripts/train_test.py trains on several devices and processes."""

from unittest import mock

import jax
import numpy as np
from absl.testing import parameterized

from common.training import sharding


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

    def test_alone(self):
        sharding.connect(None)
        mesh = sharding.mesh()
        assert mesh.size == len(jax.devices())
        (array,) = sharding.replicate([np.arange(3)], mesh)
        np.testing.assert_array_equal(array, [0, 1, 2])
