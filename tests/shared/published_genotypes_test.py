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
    def test_texts_and_space(self, name):
        made = PUBLISHED[name]
        assert made.name == name
        texts = formats.written(made.genotype)
        # The block left out of the fourth stage of SemiNASNet is written last.
        is_moved = name == "seminasnet"
        assert texts[made.format] == (made.text.replace("3 5 7 3", "3 5 3 7") if is_moved else made.text)
        holding = [key.removesuffix("_row") for key in texts if key.endswith("_row")]
        assert made.space in holding if made.space else holding == []
        if made.space:
            row = conversion.to_arch(made.genotype, made.space)
            assert bool(spaces.get(made.space).is_valid(row[None])[0])

    def test_lanet(self):
        made = PUBLISHED["lanet"].genotype
        names = {"sep3": "sep_conv_3x3", "max": "max_pool_3x3", "skip": "skip_connect", "sep5": "sep_conv_5x5"}
        table = (
            *("skip 0 skip 1", "sep3 1 skip 1", "max 2 skip 1", "sep3 1 skip 0"),
            *("skip 3 sep5 4", "skip 3 max 0", "skip 3 sep3 1"),
        )
        assert made.normal == made.reduction
        for node, (first, first_state, second, second_state) in zip(made.normal.nodes, map(str.split, table)):
            assert node == ((names[first], int(first_state)), (names[second], int(second_state)))
        assert made.normal.output == (5, 6, 7, 8)

    def test_explicit_loose_ends(self):
        made = PUBLISHED["nasnet_a_nao"].genotype
        assert (made.normal.output, loose_ends(made.normal.nodes)) == ((0, 2, 3, 4, 5, 6), (2, 3, 4, 5, 6))
        assert (made.reduction.output, loose_ends(made.reduction.nodes)) == ((3, 4, 5, 6), (4, 5, 6))
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

    def test_released_mask(self):
        made = PUBLISHED["lanas_oneshot_1"].genotype
        assert made.normal.nodes[0] == (("max_pool_3x3", 1), ("sep_conv_3x3", 1))
        assert made.normal.nodes[4] == (("sep_conv_3x3", 1), ("skip_connect", 3))
        assert made.reduction.nodes[4] == (("skip_connect", 1), ("sep_conv_3x3", 3))
        assert made.normal.output == made.reduction.output == (2, 3, 4, 5, 6)
        text = formats.get("lanas_mask").write(made)
        as_list = str([int(bit) for bit in text])
        assert (formats.get("lanas_mask").read(as_list), np.sum([int(bit) for bit in text])) == (made, 20)


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

    @parameterized.parameters(
        ("naonet_c", None, "no file 'naonet_c'; did you mean naonet_. or naonet_."),
        ("/no/such/file.txt", None, "published are naonet_a, naonet_tf"),
        ("broken.json", b'{"kind": "cell",\n', "broken.json: not JSON from line 1, column 17 on"),
        ("mine.json", "{}".encode("utf-16"), "mine.json: UTF-16 text; save it as UTF-8"),
        ("mine.json", b"\x80{", "mine.json: not UTF-8 text"),
        ("mine.txt", b"0 1 2 3", "mine.txt: its format does not show: .* --text=- --from_format="),
        ("big.json", b"{" + b" " * 10**6 + b"}", "big.json: a genotype is a text of at most 100,000 characters"),
    )
    def test_says_what_is_wrong(self, name, content, message):
        with pytest.raises(ValueError, match=message):
            published.get(name if content is None else self.file(name, content))
