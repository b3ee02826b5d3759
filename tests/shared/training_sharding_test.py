"""One device, eight devices and two processes train to the same weights."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common.training import sharding

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Trains a network with batch normalisation for six steps and prints its weights and what it scores.
PROGRAM = """
import json, sys
from common.training import sharding
arguments = json.loads(sys.argv[1])
sharding.connect(arguments["coordinator"], num_processes=arguments["num_processes"], process_id=arguments["process_id"])
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


def start(num_devices, *, coordinator=None, num_processes=None, process_id=None):
    arguments = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    (line,) = (line for line in output.splitlines() if line.startswith("found "))
    return json.loads(line.removeprefix("found "))


def check_same(found, wanted):
    assert found["step"] == wanted["step"] == 6
    np.testing.assert_allclose(found["weights"], wanted["weights"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-4)
    assert found["scores"]["top1"] == wanted["scores"]["top1"]
    np.testing.assert_allclose(found["scores"]["loss"], wanted["scores"]["loss"], rtol=1e-4)


@pytest.mark.slow
class DevicesTest(parameterized.TestCase):
    def test_one_and_eight(self):
        processes = [start(1), start(8)]
        one, eight = map(finish, processes)
        assert (one["devices"], eight["devices"]) == (1, 8)
        assert eight["replicated"]
        check_same(eight, one)

    def test_two_processes_of_two_devices(self):
        with socket.socket() as server:
            server.bind(("localhost", 0))
            port = server.getsockname()[1]
        pair = [start(2, coordinator=f"localhost:{port}", num_processes=2, process_id=process) for process in (0, 1)]
        first, second = map(finish, pair)
        assert first["devices"] == second["devices"] == 4
        assert first["weights"] == second["weights"]
        check_same(first, finish(start(1)))


class RefusalTest(parameterized.TestCase):
    def test_batches_that_cannot_be_split(self):
        class Mesh:
            size = 8

        sharding.check_batch(64, Mesh)
        with self.assertRaisesRegex(ValueError, "batch_size must be a multiple of the number of devices, 8; got 60"):
            sharding.check_batch(60, Mesh)

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
