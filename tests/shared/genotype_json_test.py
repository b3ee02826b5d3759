"""Genotypes as JSON: any genotype is restored, and errors say where they are."""

import json

import hypothesis
import pytest
from absl.testing import parameterized
from hypothesis import strategies as st

from common.genotypes import json_text
from tests.shared import random_genotypes

DROPPED = object()
CELL = {"nodes": [[["identity", 0], ["conv_3x3", 1]], [["max_pool_3x3", 2], ["identity", 2]]], "output": [3]}
WHOLE = {"kind": "cell", "version": 1, "normal": CELL, "reduction": CELL}
RECURRENT = {"kind": "recurrent", "version": 1, "nodes": [["tanh", 0], ["relu", 1]], "output": [1, 2]}
CHAIN = {"kind": "chain", "version": 1, "stages": [["mb3_k3"], []], "resolution": None}
GRAPH = {"kind": "graph", "version": 1, "operations": ["input", "output"], "edges": [[0, 1]]}
EDGE = {"kind": "edge", "version": 1, "num_states": 4, "edges": [[0, 1, "none"]]}


def replaced(record, path, value):
    """A copy with another value at a path; a key goes where the value is `DROPPED`."""
    inner = copy = json.loads(json.dumps(record))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    if value is DROPPED:
        del inner[path[-1]]
    return json.dumps(copy)


class JsonTest(parameterized.TestCase):
    @parameterized.parameters(*random_genotypes.KINDS)
    def test_any_genotype_is_restored(self, kind):
        for seed in range(50):
            made = random_genotypes.make(kind, seed)
            text = json_text.to_text(made)
            assert (json_text.from_text(text), json_text.to_text(json_text.from_text(text))) == (made, text)

    def test_text_by_hand(self):
        assert json_text.to_text(json_text.from_dict(RECURRENT)) == (
            '{\n  "kind": "recurrent",\n  "version": 1,\n'
            '  "nodes": [["tanh", 0], ["relu", 1]],\n  "output": [1, 2]\n}\n'
        )
        cell = json_text.from_text(json.dumps(WHOLE))
        assert (cell.normal.nodes[1][0], cell.reduction.output) == (("max_pool_3x3", 2), (3,))

    def test_good_examples(self):
        for record in (WHOLE, RECURRENT, CHAIN, GRAPH, EDGE):
            made = json_text.from_text(json.dumps(record))
            assert json_text.to_dict(made) == record
            assert json_text.from_text(str(record)) == made, "as Python prints it"

    @parameterized.parameters(
        ("{}", "unknown kind None of genotype; choose one of cell, recurrent, chain, graph, edge"),
        (replaced(WHOLE, ["version"], 2), "version of a genotype is 1; got 2"),
        (replaced(WHOLE, ["reduction"], DROPPED), "cell genotype: 'reduction' is missing; its keys are kind,"),
        (replaced(WHOLE, ["normal"], None), "normal must be an object with nodes, output; got None"),
        (replaced(WHOLE, ["normal", "nodes", 1, 0], ["identity"]), r"normal.nodes\[1\]\[0\] must be a list of 2"),
        (replaced(WHOLE, ["normal", "nodes", 1, 0, 0], "conv"), r"nodes\[1\]\[0\]\[0\]: unknown operation 'conv'"),
        (replaced(WHOLE, ["reduction", "nodes", 1, 0, 1], 3), "node 1, branch 0 reads state 3; allowed are 0 to 2"),
        (replaced(WHOLE, ["reduction", "nodes", 0], []), "reduction: node 0 has no branches"),
        (replaced(RECURRENT, ["nodes", 1, 0], "elu"), r"nodes\[1\]\[0\]: unknown operation 'elu'; choose one of tanh"),
        (replaced(CHAIN, ["resolution"], 0), "resolution must be a positive integer or null; got 0"),
        (replaced(GRAPH, ["operations"], ["input", "maxpool3x3"]), "the first must be input and the last output"),
        (replaced(GRAPH, ["edges"], [[0, 1], [1, 0]]), r"edges\[1\] is from 1 to 0; allowed are 0 <= from < to <= 1"),
        (replaced(EDGE, ["edges", 0, 2], "conv"), r"edges\[0\]\[2\]: unknown operation 'conv'"),
    )
    def test_says_what_is_wrong(self, text, message):
        with pytest.raises(ValueError, match=message):
            json_text.from_text(text)

    def test_all_faults_are_in_one_message(self):
        record = json.loads(json.dumps(WHOLE))
        record["normal"]["nodes"][1][0] = ["conv", "1"]
        record["reduction"]["output"], record["more"] = [9], 1
        expected = (
            "cell genotype: 'more' is unknown; its keys are kind, version, normal, reduction; "
            "normal.nodes[1][0][0]: unknown operation 'conv'; choose one of "
        )
        with pytest.raises(ValueError, match="cell genotype") as caught:
            json_text.from_dict(record)
        with pytest.raises(ValueError, match="cell genotype: 5 is unknown; its keys are"):
            json_text.from_text(str(WHOLE | {5: 1}))
        message = str(caught.value)
        assert message.startswith(expected)
        assert "; normal.nodes[1][0][1] must be an integer; got '1'; reduction: output must be different" in message

    def test_values_that_are_no_genotypes(self):
        with pytest.raises(ValueError, match="not a genotype: 'lanet'"):
            json_text.to_dict("lanet")
        nested = []
        for _ in range(10**5):
            nested = [nested]
        with pytest.raises(ValueError, match="a JSON object with a kind; got a deeply nested value"):
            json_text.from_dict(nested)

    @hypothesis.given(
        st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)
    )
    @hypothesis.settings(deadline=None, max_examples=100)
    def test_anything_else_is_a_value_error(self, text):
        with pytest.raises(ValueError, match=r"JSON|kind"):
            json_text.from_text(text)
