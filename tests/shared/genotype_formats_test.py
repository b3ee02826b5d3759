"""The formats in which architectures were published: what each refuses, and what writing cannot hold."""

import json

import pytest
from absl.testing import parameterized

from common.genotypes import formats, operations, published
from common.genotypes.genotype import Branch
from common.networks import operations as built

TEXTS = {name: made.text for name, made in published.PUBLISHED.items()}
DARTS, RNN, JSON = TEXTS["darts_v2"], TEXTS["darts_rnn"], TEXTS["naonet_tf"]
NASBENCH201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
NASBENCH101 = (
    '{"module_adjacency": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "module_operations": ["input", "maxpool3x3", "output"]}'
)
OFA = str({"wid": None, "ks": [3, 5, 7, 3] * 5, "e": [3, 4, 6, 6] * 5, "d": [2, 3, 4, 2, 2], "r": [176]})
MASK = TEXTS["lanas_oneshot_1"]
TOKENS_60 = formats.get("nao_large_tokens").write(published.get("naonet_tf"))


class TextTest(parameterized.TestCase):
    """Texts by hand."""

    def test_sixty_tokens_of_naonet(self):
        normal = "1 9 16 2 11 17 3 9 19 2 9 16 1 9 14 2 9 16 1 9 19 5 9 16 2 7 14 1 9 16"
        assert TOKENS_60.startswith(normal)
        assert formats.get("nao_large_tokens").read(TOKENS_60) == published.get("naonet_tf")

    @parameterized.parameters(
        DARTS, f"DARTS_V2 = {DARTS}", DARTS.replace("[2, 3, 4, 5]", "range(2, 6)"), f"\n {DARTS}\n"
    )
    def test_writings_of_darts(self, text):
        made = formats.get("darts").read(text)
        assert made == published.get("darts_v2")
        assert made.normal.nodes[3] == (("skip_connect", 0), ("dil_conv_3x3", 2))
        assert made.reduction.output == (2, 3, 4, 5)

    def test_darts_has_names_of_its_own(self):
        text = formats.get("darts").write(published.get("naonet_b"))
        assert "skip_connect" in text
        assert "identity" not in text
        assert formats.get("nao_small").write(formats.get("darts").read(text)) == TEXTS["naonet_b"]

    def test_order_of_fields_does_not_matter(self):
        assert formats.get("darts_rnn").read(
            "Genotype(concat=range(1, 3), recurrent=(('relu', 0), ['tanh', 1]))"
        ).nodes == (("relu", 0), ("tanh", 1))

    def test_once_for_all(self):
        made = formats.get("ofa_mobile").read(OFA)
        assert made.resolution == 176
        assert made.stages[:2] == (("mb3_k3", "mb4_k5"), ("mb3_k3", "mb4_k5", "mb6_k7"))
        assert made == formats.get("ofa_mobile").read(OFA.replace("'", '"').replace("None", "null"))
        written = formats.get("ofa_mobile").write(made)
        assert written.startswith("{'wid': None, 'ks': [3, 5, 3, 3, 3, 5, 7, 3, 3, 5, 7, 3,")

    def test_graphs(self):
        made = formats.get("nasbench101").read(NASBENCH101)
        assert made.operations == ("input", "maxpool3x3", "output")
        assert made.edges == ((0, 1), (0, 2), (1, 2))
        assert formats.get("nasbench101").write(made) == NASBENCH101
        assert formats.get("nasbench101_tokens").write(made).startswith("2 5 2 2 6 0 0")
        assert formats.get("nasbench201").read(NASBENCH201).edges[1:3] == ((0, 2, "nor_conv_3x3"), (1, 2, "none"))

    def test_nodes_with_other_numbers_of_branches(self):
        cell = formats.get("darts").read(DARTS).normal
        single = type(cell)(((Branch("identity", 0),),), (2,))
        made = type(published.get("darts_v2"))(single, cell)
        with pytest.raises(ValueError, match="darts: normal, node 0 has 1 branches; in this format it has 2"):
            formats.get("darts").write(made)
        with pytest.raises(ValueError, match="nao_json: conv_dag, node_3 has 1 branches"):
            formats.get("nao_json").write(made)

    def test_other_kinds(self):
        for name in ("darts", "nao_json"):
            with pytest.raises(ValueError, match="holds a CellGenotype; got a RecurrentGenotype"):
                formats.get(name).write(published.get("nao_ptb"))
        with pytest.raises(ValueError, match="holds a RecurrentGenotype; got a CellGenotype"):
            formats.get("darts_rnn").write(published.get("lanet"))

    def test_networks_have_every_operation(self):
        assert set(operations.CONVOLUTIONAL) == set(built.OPERATIONS)

    def test_unknown_format(self):
        with pytest.raises(ValueError, match="unknown format 'tf'; choose one of json, nao_small"):
            formats.get("tf")


class RefusalTest(parameterized.TestCase):
    @parameterized.parameters(
        # wrong length
        ("nao_small", TEXTS["nao_ws"][2:], "write 40 integers; got 39"),
        ("nao_large_tokens", TOKENS_60 + " 1", "write 60 integers; got 61"),
        ("lanas_cell", "[2, 2]", "write 28 integers; got 2"),
        ("lanas_mask", MASK[1:], "write 160 integers; got 159"),
        ("nao_small_row", TEXTS["nao_ws"] + " 0", "write 40 integers; got 41"),
        ("nasbench_macro", "0120121", "eight digits"),
        ("darts", DARTS.replace("('sep_conv_3x3', 0), ", "", 1), "normal has 7 pairs; a node has 2"),
        ("nao_json", JSON.replace('"identity", "conv 3x3"', '"identity"'), "conv_dag, node_7 is .* got"),
        ("ofa_mobile", OFA.replace("2, 3, 4, 2, 2", "2, 3"), "d is a list of 5 integers"),
        # unknown operations
        (
            "nao_large_from_5",
            TEXTS["naonet_a"].replace("15", "16", 1),
            "normal cell, node 0, operation of branch 1.*is 16",
        ),
        (
            "darts",
            DARTS.replace("dil_conv_3x3", "dil_conv_9x9"),
            "darts: normal, pair 7: unknown operation 'dil_conv_9x9'",
        ),
        ("darts", DARTS.replace("'dil_conv_3x3'", "['x']"), r"pair 7: unknown operation \['x'\]"),
        ("darts_rnn", RNN.replace("tanh", "elu"), "darts_rnn: recurrent, pair 2: unknown operation 'elu'"),
        ("nao_json", JSON.replace("identity", "conv 9x9"), "conv_dag, node_7: unknown operation 'conv 9x9'"),
        ("nasbench201", NASBENCH201.replace("none", "zero"), "not a NAS-Bench-201 architecture"),
        ("nasbench101", NASBENCH101.replace("maxpool3x3", "maxpool"), "unknown operation 'maxpool' at vertex 1"),
        ("ofa_mobile", OFA.replace("[3, 5", "[9, 5"), r"ks\[0\] is 9; allowed are 3, 5, 7"),
        ("ofa_mobile", OFA.replace("176", "True"), r"r\[0\] is True; allowed are 128"),
        ("nao_large_tokens", TOKENS_60.replace("7 14", "7 16"), "token 26 of 60 is 16; legal here are .14."),
        ("seminas_mobile", "7" + TEXTS["seminasnet"][1:], "block 0 of stage 0, which cannot be left out"),
        # edges forward
        ("nao_small", "2" + TEXTS["nao_ws"][1:], "node 0, input of branch 0: a state before it, its own is 2.*is 2"),
        (
            "lanas_cell",
            TEXTS["lanet"].replace("3, 1]", "8, 1]"),
            "node 6, input of branch 0.* is 8; allowed are 0 to 7",
        ),
        (
            "darts",
            DARTS.replace("3x3', 2)", "3x3', 5)", 1),
            "normal: node 3, branch 1 reads state 5; allowed are 0 to 4",
        ),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "[2, 6]", 1), "normal: output must be different states from 0 to 5"),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "range(10**9, 10**10)", 1), "no literal and no range"),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "range(0, 9999999999)", 1), "normal: output must be different states"),
        ("darts_rnn", RNN.replace("('relu', 0)", "('relu', 1)"), "darts_rnn: node 1 reads state 1; allowed are 0 to 0"),
        ("nao_rnn", "1" + TEXTS["nao_ptb"][1:], "state that node 1 reads. is 1; allowed are 0 to 0"),
        (
            "nao_json",
            JSON.replace('"node_5", "conv 1x3', '"node_6", "conv 1x3'),
            "node_6 reads 'node_6'; allowed are .*node_5",
        ),
        ("nasbench101", NASBENCH101.replace("[0, 0, 1]", "[1, 0, 1]"), "an edge from vertex 1 to vertex 0"),
        # nothing that can be parsed
        ("nao_json", JSON[:-1], "nao_json: not JSON: .* line 1, column"),
        ("nao_json", "[]", "conv_dag and reduc_dag belongs here"),
        ("nao_json", JSON.replace('"node_5": [', '"node_9": [', 1), "node_1, node_2, ... without a gap"),
        ("nao_json", json.dumps({**json.loads(JSON), "conv_dag": 3}), "conv_dag is an object with node_1"),
        ("darts", DARTS[:-1], "darts: cannot be parsed"),
        ("darts", DARTS.replace("Genotype", "eval"), "write Genotype.normal="),
        ("darts", DARTS.replace("normal_concat", "concat"), "write Genotype.normal="),
        (
            "darts",
            DARTS.replace("[2, 3, 4, 5]", "__import__('os').getcwd()", 1),
            "normal_concat is no literal and no range",
        ),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "3", 1), "normal_concat is a list of states; got 3"),
        ("darts", DARTS.replace("('dil_conv_3x3', 2)", "7"), r"pair 7 is \(operation, state\); got 7"),
        ("nasbench101", NASBENCH101[1:], "nasbench101: not JSON"),
        ("nasbench101", NASBENCH101.replace("[0, 0, 1]", "[0, 1]"), "a square list of lists"),
        ("ofa_mobile", "{}", "an object with the keys ks, e, d, r belongs here"),
        # masks
        ("lanas_mask", "1" + MASK[1:], "normal cell, node 0 has 3 bits set among its 8"),
        ("lanas_mask", MASK.replace("1", "2", 1), "bit 4. is 2; allowed are 0 to 1"),
    )
    def test_says_what_is_wrong(self, name, text, message):
        with pytest.raises(ValueError, match=message):
            formats.get(name).read(text)
