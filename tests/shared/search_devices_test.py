"""Searches with many keys, and trainings, distributed over several devices, in a separate process."""

import os
import pathlib
import subprocess
import sys
import tempfile

import chex
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import chex, jax, numpy as np
from common import search, spaces
from common.baselines import random_search
from common.evaluators import synthetic

assert len(jax.local_devices()) == 2
space = spaces.get("nasbench201")
evaluator = synthetic.evaluator(space)
searcher = random_search.searcher(space)
keys = jax.random.split(jax.random.key(0), 5)
bits = np.asarray(jax.random.key_data(keys))
chunks = []
found, _ = search.search_seeds(
    keys, searcher, evaluator, budget=12, seeds_at_once=3, on_chunk=lambda *args: chunks.append(args[0])
)
assert chunks == [4, 5], chunks  # an equal share of each device
for seed in range(5):
    alone = search.scan_search(jax.random.wrap_key_data(bits[seed]), searcher, evaluator, budget=12)
    chex.assert_trees_all_equal(jax.device_get(alone), jax.tree.map(lambda values: values[seed], found))
one, _ = search.search_seeds(jax.random.split(jax.random.key(1), 1), searcher, evaluator, budget=12, seeds_at_once=3)
assert one.archs.shape[0] == 1
print("equal")
"""


SHARED_WEIGHTS = """
import pathlib, sys
import jax, numpy as np
from common.supernets import config, training_folder
from tests.shared import supernet_training_test

assert len(jax.devices()) == 8
run = supernet_training_test.made()
params = []
# All on one device; all on eight; three steps on eight, which one device takes up.
for name, parts in (("one", [(1, None)]), ("eight", [(0, None)]), ("both", [(8, 3), (1, None)])):
    for num_devices, stop in parts:
        folder = pathlib.Path(sys.argv[1], name)
        with training_folder.opened(run, folder, config.Pace(num_devices=num_devices)) as opened:
            state = opened.train(run.draw(), stop)
            places = {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state.params)}
            assert places == {num_devices or 8}, places
    params.append(jax.device_get(state.params))
for found in params[1:]:
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), params[0], found)
try:
    with training_folder.opened(run, folder, config.Pace(num_devices=3)):
        pass
except ValueError as error:
    assert "batch_size must be a multiple of the number of devices, 3; got 16" in str(error), error
    print("equal")
"""


TRAINING = """
import jax, numpy as np
from common.training import config, loop, sharding
from common.training import state as states
from common.training import step as step_lib
from tests.shared import small_network as made

settings = config.Config(num_epochs=2, batch_size=32)
steps = step_lib.steps(made.Small(), settings, made.INPUTS, num_classes=3, num_images=64)
params = []
for num_devices in (1, 8):
    batches, keys = sharding.over(num_devices), states.keys(jax.random.key(0))
    started = steps.init(keys.init, made.SHAPE), keys, made.make_data(64)
    state, keys, data = sharding.place(started, batches)
    *_, (state, _) = loop.train(steps, state, keys, data, settings, sharding=batches)
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state.params)} == {num_devices}
    params.append(jax.device_get(state.params))
jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), *params)
print("equal")
"""


LANGUAGE = """
import jax, numpy as np
from common.language import training
from common.runs import language
from common.training import sharding
from tests.shared import language_training_test as made

params = []
for num_devices in (1, 2):
    learner, keys = made.make_learner(), training.keys(jax.random.key(0))
    data, valid = made.texts()
    state, data = language.shard(training.create(learner, keys), data, sharding.over(num_devices))
    *_, (state, _) = training.train(learner, state, keys, data, valid)
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state.params)} == {num_devices}
    params.append(jax.device_get(state.params))
jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), *params)
print("equal")
"""


class SearchDevicesTest(chex.TestCase):
    @pytest.mark.slow
    def test_what_a_search_finds_does_not_depend_on_the_devices(self):
        self.check(PROGRAM, num_devices=2)

    @pytest.mark.slow
    def test_shared_weights_do_not_depend_on_the_devices(self):
        self.check(SHARED_WEIGHTS, num_devices=8)

    @pytest.mark.slow
    def test_training_from_scratch_does_not_depend_on_the_devices(self):
        self.check(TRAINING, num_devices=8)

    @pytest.mark.slow
    def test_a_language_model_does_not_depend_on_the_devices(self):
        self.check(LANGUAGE, num_devices=8)

    def check(self, program, *, num_devices):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={num_devices}"
        folder = self.enterContext(tempfile.TemporaryDirectory())
        ran = subprocess.run(
            [sys.executable, "-c", program, folder],
            cwd=ROOT,
            env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.stdout.endswith("equal\n"), ran.stderr
