"""The published architectures: texts, claims and names."""

import json
import pathlib
import tempfile

import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.genotypes import conversion, formats, json_text, published
from common.genotypes.genotype import loose_ends

PUBLISHED = published.PUBLISHED


class PublishedTest(parameterized.TestCase):
    @parameterized.parameters(*PUBLISHED)
    def test_texts_round_trip(self, name):
        made = PUBLISHED[name]
        assert made.name == name
        form = formats.get(made.format)
        assert form.read(made.text) == made.genotype
        written = form.write(made.genotype)
        assert form.read(written) == made.genotype
        if name == "seminasnet":  # the block left out of the fourth stage is written last
            assert written == made.text.replace("3 5 7 3", "3 5 3 7")
        else:
            assert written == made.text

    @parameterized.parameters(*PUBLISHED)
    def test_space(self, name):
        made = PUBLISHED[name]
        holding = [key.removesuffix("_row") for key in formats.written(made.genotype) if key.endswith("_row")]
        if made.space is None:
            assert holding == []
            return
        assert made.space in holding
        row = conversion.to_arch(made.genotype, made.space)
        assert bool(spaces.get(made.space).is_valid(row[None])[0])
        assert formats.get("json").read(json_text.to_text(made.genotype)) == made.genotype

    def test_names(self):
        assert " ".join(PUBLISHED) == (
            "naonet_a naonet_tf nao_ws naonet_b naonet_v2 nao_ptb nao_ws_ptb seminasnet lanet lanas_trace_2 "
            "lanas_trace_3 lanas_trace_4 lanas_trace_5 lanas_trace_6 lanas_oneshot_1 lanas_oneshot_2 lanas_oneshot_3 "
            "nasnet_a nasnet_a_nao amoebanet_a amoebanet_a_nao amoebanet_b_nao darts_v1 darts_v2 enas_nao "
            "enas enas_rnn darts_rnn"
        )

    def test_two_writings_of_naonet_differ_in_one_node(self):
        one, other = PUBLISHED["naonet_a"].genotype, PUBLISHED["naonet_tf"].genotype
        assert one.normal == other.normal
        assert [node for node in range(5) if one.reduction.nodes[node] != other.reduction.nodes[node]] == [2]
        assert one.reduction.nodes[2] == (("conv_1x7_7x1", 0), ("max_pool_2x2", 1))
        assert other.reduction.nodes[2] == (("conv_1x7_7x1", 1), ("max_pool_2x2", 0))
        for made in (one, other):
            # As in the paper's figures, where states are counted from 1.
            assert (made.normal.output, made.reduction.output) == ((3, 5, 6), (3, 4, 5, 6))

    def test_text_of_naonet_is_that_of_the_released_file(self):
        record = json.loads(PUBLISHED["naonet_tf"].text)
        assert list(record) == ["conv_dag", "reduc_dag"]
        assert record["conv_dag"]["node_1"] == ["node_1", None, None, None, None]
        assert record["conv_dag"]["node_4"] == ["node_4", "node_3", "node_2", "conv 1x3+3x1", "conv 3x3"]
        assert len(PUBLISHED["naonet_tf"].text) == 909

    def test_lanet(self):
        made = PUBLISHED["lanet"].genotype
        names = {"sep3": "sep_conv_3x3", "max": "max_pool_3x3", "skip": "skip_connect", "sep5": "sep_conv_5x5"}
        table = (
            *("skip 0 skip 1", "sep3 1 skip 1", "max 2 skip 1", "sep3 1 skip 0"),
            *("skip 3 sep5 4", "skip 3 max 0", "skip 3 sep3 1"),
        )
        expected = tuple(
            tuple((names[words[at]], int(words[at + 1])) for at in (0, 2)) for words in map(str.split, table)
        )
        assert made.normal == made.reduction
        assert made.normal.nodes == expected
        assert made.normal.output == (5, 6, 7, 8)

    def test_explicit_loose_ends(self):
        made = PUBLISHED["nasnet_a_nao"].genotype
        assert made.normal.output == (0, 2, 3, 4, 5, 6)
        assert loose_ends(made.normal.nodes) == (2, 3, 4, 5, 6)
        assert made.reduction.output == (3, 4, 5, 6)
        assert loose_ends(made.reduction.nodes) == (4, 5, 6)
        record = json.loads(formats.get("nao_json").write(made))
        assert record["conv_dag"]["loose_ends"] == ["node_1", "node_3", "node_4", "node_5", "node_6", "node_7"]
        assert record["reduc_dag"]["loose_ends"] == ["node_4", "node_5", "node_6", "node_7"]

    def test_activations_go_by_name(self):
        """The last node of the cell for PTB is the identity, 2 in its program and 3 in that with shared weights."""
        made = PUBLISHED["nao_ptb"].genotype
        assert made.nodes[-1] == ("identity", 1)
        assert formats.get("nao_ws_rnn").write(made) == PUBLISHED["nao_ptb"].text[:-1] + "3"
        shared = PUBLISHED["nao_ws_ptb"].genotype
        assert shared.nodes[2] == ("sigmoid", 2)
        assert formats.get("nao_rnn").write(shared) == "0 1 1 1 2 3 1 3 4 1 4 1 4 1 7 1 8 3 1 0 4 1"
        assert formats.get("nao_rnn").read(PUBLISHED["nao_ws_ptb"].text) != shared
        row = conversion.to_arch(shared, "nao_rnn")
        assert spaces.get("nao_rnn").describe(row).startswith("1=relu(0) 2=relu(1) 3=sigmoid(2)")

    def test_claims(self):
        errors = [claim.value for claim in PUBLISHED["naonet_a"].claims if claim.dataset == "cifar10"]
        assert errors == [1.93, 2.48]
        claims = [claim for made in PUBLISHED.values() for claim in made.claims]
        assert len(claims) == 52
        assert all(0 < claim.value < 100 and claim.by for claim in claims)


class GetTest(parameterized.TestCase):
    def file(self, name, content):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / name
        path.write_bytes(content)
        return str(path)

    def test_names_files_and_texts(self):
        made = PUBLISHED["lanet"].genotype
        path = self.file("mine.json", json_text.to_text(made).encode())
        assert published.get("lanet") == made == published.get(path) == published.get(json_text.to_text(made))
        marked = self.file("marked.json", b"\xef\xbb\xbf" + json_text.to_text(made).encode() + b"\r\n")
        assert published.get(marked) == made
        log = f"03/21 12:00:00 PM genotype = {PUBLISHED['darts_v2'].text}\n"
        made = PUBLISHED["darts_v2"].genotype
        assert published.get(log) == made == published.get(self.file("mine.txt", log.encode()))

    def test_says_what_is_wrong(self):
        with pytest.raises(ValueError, match=r"no file 'naonet_c'; did you mean naonet_. or naonet_."):
            published.get("naonet_c")
        with pytest.raises(ValueError, match="published are naonet_a, naonet_tf"):
            published.get("/no/such/file.txt")
        path = self.file("broken.json", b'{"kind": "cell",\n')
        with pytest.raises(ValueError, match=r"broken.json: not JSON: .* in line 1, column 17"):
            published.get(path)
        with pytest.raises(ValueError, match=r"mine.json: UTF-16 text; save it as UTF-8"):
            published.get(self.file("mine.json", json_text.to_text(PUBLISHED["lanet"].genotype).encode("utf-16")))
        with pytest.raises(ValueError, match=r"mine.json: not UTF-8 text"):
            published.get(self.file("mine.json", b"\x80{"))
        with pytest.raises(ValueError, match=r"mine.txt: its format does not show: .* --text=- --from_format="):
            published.get(self.file("mine.txt", b"0 1 2 3"))
        with pytest.raises(ValueError, match=r"big.json: a genotype is a text of at most 1,000,000 characters"):
            published.get(self.file("big.json", b"{" + b" " * 10**6 + b"}"))


class ReleasedMasksTest(parameterized.TestCase):
    def test_first_branches_by_hand(self):
        made = PUBLISHED["lanas_oneshot_1"].genotype
        assert made.normal.nodes[0] == (("max_pool_3x3", 1), ("sep_conv_3x3", 1))
        assert made.normal.nodes[4] == (("sep_conv_3x3", 1), ("skip_connect", 3))
        assert made.reduction.nodes[4] == (("skip_connect", 1), ("sep_conv_3x3", 3))
        assert made.normal.output == made.reduction.output == (2, 3, 4, 5, 6)
        text = formats.get("lanas_mask").write(made)
        as_list = str([int(bit) for bit in text])
        assert formats.get("lanas_mask").read(as_list) == made
        assert np.sum([int(bit) for bit in text]) == 20
