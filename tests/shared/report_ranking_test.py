"""Page on the ranking of shared weights, from a synthetic file."""

import contextlib
import io
import json
import pathlib
import tempfile

import numpy as np
import pytest
from absl.testing import parameterized

from common.report import ranking
from common.report import report as reports
from launch import report

# Of six pairs five are in one order by score, all by size; two trainings agree on all.
TOLD = {
    "scores": [0.1, 0.2, 0.4, 0.3],
    "alone": [[0.5, 0.4], [0.6, 0.5], [0.7, 0.6], [0.8, 0.7]],
    "num_params": [100, 2000, 3000, 4000],
}


class RankingTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "ranking.json"

    def test_by_hand(self):
        self.path.write_text(json.dumps(TOLD))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            assert report.main([f"--workdir={self.path}"]) == 0
        page = self.path.with_suffix(".html")
        assert output.getvalue() == f"{page}: 1 pictures of ranking.json\n"
        text = page.read_text()
        assert "<td>scores on shared weights</td><td>0.667 [" in text
        assert "<td>number of parameters</td><td>1.000 [1.000, 1.000]</td>" in text
        assert "<td>two trainings, with each other</td><td>1.000 [1.000, 1.000]</td>" in text
        assert "ranking.json: 4 architectures" in text
        assert "architecture 1, 2,000 parameters: 20.00 %, stand-alone 55.00 %" in text

    def test_one_training(self):
        self.path.write_text(json.dumps(TOLD | {"alone": [[0.5], [0.5], [0.5], [0.5]]}))
        text = ranking.document(reports.read(self.path), [])
        assert "<td>scores on shared weights</td><td>not defined, as all are equal</td>" in text
        assert "two trainings, with" not in text

    @parameterized.parameters(
        ("{", "is not a file of benchmarks.supernet_ranking"),
        ("[]", "is not a file of benchmarks.supernet_ranking"),
        ('{"networks": []}', r"KeyError\('scores'\)"),
        (json.dumps(TOLD | {"scores": [0.1]}), r"at least 2; they have the shapes \(1,\), \(4, 2\) and \(4,\)"),
        (json.dumps(TOLD | {"alone": [0.1, 0.2, 0.3, 0.4]}), r"\(4,\), \(4,\) and \(4,\)"),
        (json.dumps(TOLD | {"scores": [0.1, 0.2, 0.3, np.nan]}), "not all of its numbers are finite"),
    )
    def test_bad_files(self, text, message):
        self.path.write_text(text)
        with pytest.raises(ValueError, match=message):
            reports.read(self.path)
