"""One device and eight devices train to the same weights; for several processes see train_test.py."""

import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common.training import sharding

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Trains a network with batch normalisation for six steps and prints its weights and what it scores.
PROGRAM = """
import json
from common.training import sharding
import jax, numpy as np
from common.training import config as configs, loop, state as states, step
from tests.shared import small_network

data = small_network.make_data(40)
optimizer = configs.Optimizer(schedule=configs.Schedule(learning_rate=0.1))
config = configs.Config(num_epochs=3, batch_size=16, average_decay=0.5, optimizer=optimizer)
steps = step.steps(small_network.Small(), config, small_network.INPUTS, num_classes=3, num_images=40)
keys = states.keys(jax.random.key(0))
state = steps.init(keys.init, small_network.SHAPE)
mesh = sharding.mesh()
state, data, keys = sharding.replicate((state, data, keys), mesh)
split = sharding.batches(mesh) if mesh.size > 1 else None
for state, chunk in loop.train(steps, state, keys, data, config, sharding=split):
    pass
scores = loop.evaluator(steps, batch_size=16, sharding=split)(states.averaged(state), data)
weights = [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves((state.params, state.batch_stats))]
kernel = jax.tree.leaves(state.params)[0]
found = {
    "devices": mesh.size, "step": int(state.step), "weights": sum(weights, []), "scores": scores,
    "replicated": kernel.sharding.is_fully_replicated, "loss": chunk.metrics.loss.tolist(),
}
print("found " + json.dumps(found))
"""


def run(num_devices):
    devices = f"--xla_force_host_platform_device_count={num_devices}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": devices, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("found "))
    return json.loads(line.removeprefix("found "))


class ShardingTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_one_and_eight(self):
        one, eight = map(run, (1, 8))
        assert (one["devices"], eight["devices"]) == (1, 8)
        assert eight["replicated"]
        assert one["step"] == eight["step"] == 6
        np.testing.assert_allclose(eight["weights"], one["weights"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(eight["loss"], one["loss"], rtol=1e-4)
        assert eight["scores"]["top1"] == one["scores"]["top1"]
        np.testing.assert_allclose(eight["scores"]["loss"], one["scores"]["loss"], rtol=1e-4)

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
