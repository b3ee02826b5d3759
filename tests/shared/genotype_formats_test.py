"""Text formats: texts by hand, common variants of them, and what each format rejects."""

import json

import pytest
from absl.testing import parameterized

from common.genotypes import formats, json_text, operations, published
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
PAIRS = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1)]


def darts_cell(normal):
    """Returns the normal cell of a DARTS text with these pairs."""
    text = f"Genotype(normal={normal}, normal_concat=[2], reduce={PAIRS}, reduce_concat=[2])"
    return formats.get("darts").read(text).normal


class TextTest(parameterized.TestCase):
    """Texts by hand."""

    def test_darts(self):
        made = formats.get("darts").read(DARTS)
        assert made.normal.nodes[3] == (("skip_connect", 0), ("dil_conv_3x3", 2))
        assert made.reduction.output == (2, 3, 4, 5)
        text = formats.get("darts").write(published.get("naonet_b"))
        assert "skip_connect" in text
        assert "identity" not in text
        assert formats.get("nao_small").write(formats.get("darts").read(text)) == TEXTS["naonet_b"]

    def test_once_for_all(self):
        made = formats.get("ofa_mobile").read("{'ks': 7, 'e': 6, 'd': 4, 'r': 224}")
        assert (made.resolution, made.stages) == (224, (("mb6_k7",) * 4,) * 5)
        made = formats.get("ofa_mobile").read(OFA)
        assert made.resolution == 176
        assert made.stages[:2] == (("mb3_k3", "mb4_k5"), ("mb3_k3", "mb4_k5", "mb6_k7"))
        assert made == formats.get("ofa_mobile").read(OFA.replace("'", '"').replace("None", "null"))
        written = formats.get("ofa_mobile").write(made)
        assert written.startswith("{'wid': None, 'ks': [3, 5, 3, 3, 3, 5, 7, 3, 3, 5, 7, 3,")

    def test_graphs(self):
        made = formats.get("nasbench101").read(NASBENCH101)
        assert (made.operations, made.edges) == (("input", "maxpool3x3", "output"), ((0, 1), (0, 2), (1, 2)))
        assert formats.get("nasbench101_tokens").write(made).startswith("2 5 2 2 6 0 0")
        assert formats.get("nasbench201").read(NASBENCH201).edges[1:3] == ((0, 2, "nor_conv_3x3"), (1, 2, "none"))

    def test_every_published_architecture_in_every_format(self):
        """The text of each genotype leads to a genotype with the same text; other formats cannot represent it."""
        texts = {name: formats.written(made.genotype) for name, made in published.PUBLISHED.items()}
        assert sum(map(len, texts.values())) == 156
        for name, written in texts.items():
            for key, text in written.items():
                assert formats.get(key).write(formats.get(key).read(text)) == text, (name, key)

    def test_what_formats_cannot_represent(self):
        cell = formats.get("darts").read(DARTS).normal
        single = type(cell)(((Branch("identity", 0),),), (2,))
        made = type(published.get("darts_v2"))(single, cell)
        with pytest.raises(ValueError, match="darts: normal, node 0 has 1 branches; nodes of this format have 2"):
            formats.get("darts").write(made)
        with pytest.raises(ValueError, match="nao_json: conv_dag, node_3 has 1 branches"):
            formats.get("nao_json").write(made)
        with pytest.raises(ValueError, match="is for a normal and a reduction cell; got a recurrent cell"):
            formats.get("darts").write(published.get("nao_ptb"))
        assert set(formats.written(published.get("seminasnet"))) == {
            *("json", "seminas_mobile", "seminas_mobile_row", "seminas_mobile_tokens")
        }
        with pytest.raises(ValueError, match="resolution is None"):
            formats.get("ofa_mobile").write(published.get("seminasnet"))

    def test_names(self):
        assert set(operations.CONVOLUTIONAL) == set(built.OPERATIONS), "networks have every operation"
        with pytest.raises(ValueError, match="unknown format 'tf'; choose one of json, nao_small"):
            formats.get("tf")


class VariantTest(parameterized.TestCase):
    """Texts as other programs print them, or as editors and shells change them."""

    def test_nasbench201_row_says_that_others_number_differently(self):
        assert "; NASLib numbers operations and edges differently" in formats.get("nasbench201_row").help
        made = formats.get("nasbench201_row").read("(4, 0, 3, 1, 4, 3)\n")
        assert made == formats.get("nasbench201_row").read("4 0 3 1 4 3")
        assert formats.get("nasbench201").write(made).startswith("|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+")

    @parameterized.parameters(
        f"DARTS_V2 = {DARTS}",
        f"2018-06-27 13:25:46,379 genotype = {DARTS}\n",
        DARTS.replace("[2, 3, 4, 5]", "range(2, 6)"),
        DARTS.replace("), (", "),\n  ("),
        DARTS.replace("3x3', 0)", "3x3', 0, 0.137)"),
    )
    def test_darts(self, text):
        assert formats.get("darts").read(text) == published.get("darts_v2")

    def test_pairs_by_node_and_with_the_number_of_the_node(self):
        expected = darts_cell([*PAIRS, ("max_pool_3x3", 2), ("skip_connect", 0)])
        assert expected.nodes == (tuple(PAIRS), (("max_pool_3x3", 2), ("skip_connect", 0)))
        assert darts_cell([PAIRS, [("max_pool_3x3", 2), ("skip_connect", 0)]]) == expected
        assert darts_cell(((*PAIRS,), (("max_pool_3x3", 2, 0.5), ("skip_connect", 0, 3)))) == expected
        with pytest.raises(ValueError, match="normal, node 0 has 1 pairs; a node of this format has 2"):
            darts_cell([PAIRS[:1], PAIRS[1:]])
        with pytest.raises(ValueError, match=r"normal, pair 1 must be \(operation, state\); got .*2, 4"):
            darts_cell([("max_pool_3x3", 0), ("skip_connect", 2, 4)])

    @parameterized.parameters(
        *(("nasbench_macro", "22212220"), ("nasbench201", NASBENCH201), ("nao_small", TEXTS["nao_ws"])),
        *(("lanas_mask", MASK), ("darts", DARTS), ("ofa_mobile", OFA), ("nao_json", JSON)),
        ("json", json_text.to_text(published.get("lanet"))),
    )
    def test_blanks_and_byte_order_marks_around(self, name, text):
        read = formats.get(name).read
        for changed in (f"{text}\n", f" {text}\r\n", f"\ufeff{text}\n", f"\n\ufeff {text}\ufeff"):
            assert read(changed) == read(text)
        if name == "nasbench201":
            assert read(text.replace("+", " +\n")) == read(text)

    @parameterized.parameters(
        *((DARTS, "darts"), (RNN, "darts_rnn"), (JSON, "nao_json"), (NASBENCH101, "nasbench101"), (OFA, "ofa_mobile")),
        *((NASBENCH201, "nasbench201"), ('{"kind": "cell"}', "json"), ("0 1 2", None), ("22212220", None)),
        *(("lanet", None), ("folder/mine.json", None), ("mine (1).json", None)),
    )
    def test_formats_that_show(self, text, name):
        assert formats.recognize(text) == name


class RejectionTest(parameterized.TestCase):
    @parameterized.parameters(
        # wrong length
        ("darts", DARTS.replace("('sep_conv_3x3', 0), ", "", 1), "normal has 7 pairs; a node has 2"),
        ("nao_json", JSON.replace('"identity", "conv 3x3"', '"identity"'), "conv_dag, node_7 must be .* got"),
        # unknown operations
        ("nao_large_from_5", TEXTS["naonet_a"].replace("15", "16", 1), "node 0, operation of branch 1.*is 16"),
        ("darts", DARTS.replace("'dil_conv_3x3'", "['x']"), r"pair 7: unknown operation \['x'\]"),
        ("nao_json", JSON.replace("identity", "conv 9x9"), "conv_dag, node_7: unknown operation 'conv 9x9'"),
        (*("ofa_mobile", "{'ks': 7, 'e': 5, 'd': [2, 5], 'r': [1]}"), r"r\[0\] is 1; .*; d must be .*; e is 5"),
        ("nao_large_tokens", TOKENS_60.replace("7 14", "7 16"), "token 26 of 60 is 16; legal here are .14."),
        # states and edges
        ("darts", DARTS.replace("3x3', 2)", "3x3', 5)", 1), "normal: node 3, branch 1 reads state 5"),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "range(10**9, 10**10)", 1), "neither a literal nor a range"),
        ("nao_json", JSON.replace('"node_5", "conv 1x3', '"node_6", "conv 1x3'), "node_6 reads 'node_6'.*node_5"),
        ("nao_json", JSON[:-2] + ', "loose_ends": ["node_9"]}}', "loose_ends must be a list of different nodes"),
        # nothing that can be parsed
        ("nao_json", "[]", "an object with conv_dag and reduc_dag"),
        ("nao_json", JSON.replace('"node_5": [', '"node_9": [', 1), "node_1, node_2, ... without a gap"),
        ("nao_json", json.dumps({**json.loads(JSON), "conv_dag": 3}), "conv_dag must be an object with node_1"),
        ("darts", DARTS[:-1], "darts: cannot be parsed in line 1, column .*; write Genotype.normal="),
        ("darts", DARTS.replace("Genotype", "eval"), "write one Genotype.normal="),
        ("darts", DARTS.replace("normal_concat", "concat"), "write Genotype.normal="),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "__import__('os').getcwd()", 1), "normal_concat is neither a literal"),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "3", 1), "normal_concat must be a list of states; got 3"),
        ("darts", "Genotype(normal=1, normal_concat=2, reduce=3, reduce_concat=4)", "normal must be a list of"),
        ("nasbench101", NASBENCH101.replace("[0, 0, 1]", "[0, 1]"), "a square list of lists"),
        ("ofa_mobile", "{}", "an object with the keys r, d, ks, e"),
        # masks
        # sizes
        ("json", " " * 10**6 + "{}", "at most 100,000 characters; got 1,000,002"),
        ("json", "[" * 10**5, "its brackets are nested more than 100 deep"),
        ("json", "[" * 101 + "]" * 101, "its brackets are nested more than 100 deep"),
        ("json", '{"kind": "edge", "version": 1, "num_states": 9999, "edges": []}', "must be from 2 to 1000; got 9999"),
        ("json", '{"kind": "cell", "kind": "edge"}', "an object has the key 'kind' twice"),
        ("json", '{"kind": ' + "9" * 10**4 + "}", "not JSON: an integer has too many digits"),
        ("darts", DARTS.replace("[2, 3, 4, 5]", "-" * 90_000 + "1", 1), "darts: .*(parsed|neither a literal)"),
    )
    def test_says_what_is_wrong(self, name, text, message):
        with pytest.raises(ValueError, match=message) as caught:
            formats.get(name).read(text)
        assert len(str(caught.value)) < 1000
        assert "literals are not permitted" not in str(caught.value)
