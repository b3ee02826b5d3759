"""Programs for accelerators are lowered for them here, on a CPU: none has an operation that only CPUs have."""

import re

import jax
import jax.numpy as jnp
import pytest
from absl.testing import parameterized

from common import baselines
from common.evaluators import zero_cost
from common.networks import elastic, supernet
from common.supernets import config as supernet_config
from tests.shared import programs

CPU_ONLY = re.compile(r"custom_call @(\w*(?:lapack|eigen|onednn|cpu)\w*)", re.IGNORECASE)
SEARCHES = ("lanas_linear", "lanas_official", "nao", "seminas", *baselines.ALGORITHMS)


class LoweringTest(parameterized.TestCase):
    def check(self, traced):
        text = traced.lower(lowering_platforms=("cuda", "tpu")).as_text()
        self.assertIn("stablehlo", text)
        self.assertEqual(CPU_ONLY.findall(text), [])

    def test_an_operation_that_only_cpus_have_is_found(self):
        traced = jax.jit(jnp.linalg.cholesky).trace(jnp.eye(3))
        self.assertNotEqual(CPU_ONLY.findall(traced.lower(lowering_platforms=("cpu",)).as_text()), [])

    def test_lanas(self):
        self.check(programs.search("lanas"))

    @parameterized.parameters("lanas", "nao")
    @pytest.mark.slow
    def test_several_objectives(self, name):
        self.check(programs.search(name, "fitness,-params"))

    @parameterized.parameters(*SEARCHES)
    @pytest.mark.slow
    def test_searches(self, name):
        self.check(programs.search(name))

    @parameterized.parameters(
        ("naonet_b", "naonet_b_36", "float32"),
        ("naonet_b", "naonet_b_36", "bfloat16"),
        ("naonet_tf", "naonet_tf", "bfloat16"),
        ("lanet", "lanet", "bfloat16"),
        ("naonet_v2", "naonet_v2_36_autoaugment", "bfloat16"),
        ("nao_ws", "nao_ws_tf", "bfloat16"),
        ("seminasnet", "seminasnet", "bfloat16"),
    )
    @pytest.mark.slow
    def test_training(self, *settings):
        self.check(programs.training(*settings))

    @parameterized.parameters(
        ("lanas", "nao_small"),
        ("lanas_official", "lanas_oneshot"),
        ("nao_ws_cnn", "nao_small"),
        ("nao_pytorch_v2", "nao_small"),
        ("nao_cnn", "nao_large"),
        ("nao_ws_rnn", "nao_rnn"),
        ("seminas_imagenet", "seminas_mobile"),
    )
    @pytest.mark.slow
    def test_proposals_in_spaces_that_are_not_listed(self, name, space):
        self.check(programs.proposal(name, space))

    def test_language(self):
        self.check(programs.language("fixed", "training"))

    @parameterized.product(cell=("any", "shared"), part=("training", "evaluation", "segment"))
    @pytest.mark.slow
    def test_language_of_architectures_as_data(self, cell, part):
        self.check(programs.language(cell, part))

    @parameterized.product(space=tuple(supernet.SPACES), dtype=("float32", "bfloat16"))
    @pytest.mark.slow
    def test_shared_weights(self, space, dtype):
        self.check(programs.shared_weights(space, dtype))

    @parameterized.parameters(*elastic.FAMILIES)
    @pytest.mark.slow
    def test_elastic_weights(self, space):
        self.check(programs.elastic_weights(space))

    @parameterized.parameters(*supernet_config.SAMPLINGS)
    def test_chunks_of_steps_with_samplers(self, name):
        self.check(programs.chunk(name))

    @parameterized.parameters(("nao_small", "bfloat16", False), ("lanas_oneshot", "float32", True))
    @pytest.mark.slow
    def test_scores_on_shared_weights(self, *settings):
        self.check(programs.scores(*settings))

    @parameterized.parameters(*zero_cost._PROGRAMS)
    @pytest.mark.slow
    def test_zero_cost_scores(self, name):
        self.check(programs.score_without_training(name))
