"""Encoder and decoder, fitted to measured architectures, reconstruct unseen ones."""

import dataclasses

import pytest
from absl.testing import parameterized

from benchmarks import nao_predictor
from common import spaces
from common.evaluators import synthetic


class ReconstructionTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_unseen_cells_of_nasbench201_come_back_whole(self):
        evaluator = synthetic.evaluator(spaces.get("nasbench201"), seed=1)
        config = dataclasses.replace(nao_predictor.RECONSTRUCTION, fit_first=1000)
        ((exact, distance, _),) = nao_predictor.write_back(
            evaluator, config, draws=[1], num_measured=600, num_unseen=2000
        )
        assert exact >= 0.95
        assert distance <= 0.1
