"""Searches with many keys, distributed over several devices, in a separate process."""

import os
import pathlib
import subprocess
import sys

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


class SearchDevicesTest(chex.TestCase):
    @pytest.mark.slow
    def test_what_a_search_finds_does_not_depend_on_the_devices(self):
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.stdout == "equal\n", ran.stderr
