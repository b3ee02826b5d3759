"""Corpora: word indices, the built-in corpus, error messages, and published counts."""

import contextlib
import gzip
import io
import os

import chex
import numpy as np
import pytest
from absl.testing import parameterized

from common.datasets import text, topics
from tests.shared import folders

DATA = os.environ.get("NAS_DATA_DIR")


class TextTest(folders.FolderTest):
    def write(self, **splits):
        for split, content in {"train": "a b\nc\n", "valid": "b <unk>\n", "test": "a\n", **splits}.items():
            path = self.folder / f"{split}.txt"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def load(self, **arguments):
        return text.load("text", self.folder, **arguments)

    def test_numbers(self):
        self.write(train=" a b  a\n\nc\n", valid="b d\n", test="e")
        corpus = self.load()
        assert corpus.vocabulary == ("a", "b", "<eos>", "c", "d", "e")
        np.testing.assert_array_equal(corpus.train, [0, 1, 0, 2, 2, 3, 2])
        np.testing.assert_array_equal(corpus.valid, [1, 4, 2])
        np.testing.assert_array_equal(corpus.test, [5, 2])
        self.write(train="a\u2028b \x0c c\n")  # only a new line ends a line
        assert self.load().train.size == 4

    def test_lines_that_end_already(self):
        self.write(train="a b <eos>\nc <eos>\n\nd\n", valid="a\n", test="b <eos> c <eos>")
        corpus = self.load()
        end = corpus.vocabulary.index("<eos>")
        np.testing.assert_array_equal(corpus.train == end, [0, 0, 1, 0, 1, 1, 0, 1])
        np.testing.assert_array_equal(corpus.test == end, [0, 1, 0, 1])
        assert corpus.notes == ("3 lines end in <eos> already, which is not added to them again",)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            text.report(corpus)
            text.report(text.load("topics"))
        assert errors.getvalue().splitlines() == [
            "data: corpus text: 8 words in 4 lines of train, 2 words in 1 lines of valid, 4 words in 2 lines of test "
            "(<eos> included), vocabulary of 5 words",
            f"warning: {corpus.notes[0]}",
        ]

    def test_encodings_and_ends_of_lines(self):
        self.write()
        wanted = self.load()
        for contents in (
            b"\xef\xbb\xbfa b\nc\n",
            b"a b\r\nc\r\n",
            b"a b\rc\r",
            b" a b \n c",
            gzip.compress(b"a b\nc\n"),
        ):
            self.write(train=contents)
            found = self.load()
            np.testing.assert_array_equal(found.train, wanted.train)
            assert found.vocabulary == wanted.vocabulary
        for contents, message in (
            ("a b\n".encode("utf-16"), "train.txt is UTF-16 text: save it as UTF-8"),
            ("a b\n".encode("utf-16-be"), "train.txt is UTF-16 text"),
            (b"PK\3\4\0\0", "train.txt is a zip archive"),
            (b"<html><body>", "train.txt is a web page, not the file: download it again"),
            (b"a\0b c d e f g", "train.txt is binary data"),
            (gzip.compress(b"a b\n")[:-9], "train.txt is damaged or cut short; copy it again"),
        ):
            self.write(train=contents)
            with self.assertRaisesRegex(ValueError, message):
                self.load()

    def test_what_is_odd_is_a_warning(self):
        self.write(train="a b\n", valid="a b\n", test="x y\n")
        assert self.load().notes == ("the text of valid is that of train", "2 of 3 words of test do not occur in train")
        lines = "\n".join(f"line{at}" for at in range(200))
        self.write(train=lines, valid="line1\n", test="line2\n")
        assert self.load().notes == ("most words occur once; are words separated by blanks?",)

    def test_the_vocabulary_of_the_training_text(self):
        self.write(train="a <unk>\n", valid="b a\n")
        corpus = self.load(vocabulary="train")
        assert corpus.vocabulary == ("a", "<unk>", "<eos>")
        np.testing.assert_array_equal(corpus.valid, [1, 0, 2])
        self.write(train="a\n", valid="b a x\n")
        with self.assertRaisesRegex(ValueError, "2 words are not in the vocabulary, such as 'b', 'x', and it has no"):
            self.load(vocabulary="train")

    @parameterized.parameters("ptb.{}.txt", "{}.txt.gz", "ptb/{}.txt", "penn/ptb.{}.txt.gz")
    def test_names_of_files(self, name):
        for split in text.SPLITS:
            path = self.folder / name.format(split)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(b"a b\n") if path.suffix == ".gz" else b"a b\n")
        assert text.load("ptb", self.folder).vocabulary == ("a", "b", "<eos>")

    def test_bad_and_missing_files_and_unknown_names(self):
        for splits, message in (
            ({"train": ""}, "train.txt holds no words"),
            ({"valid": " \n\n"}, "valid.txt holds no words"),
            ({"test": b"caf\xe9\n"}, "test.txt is not UTF-8 at byte 3; convert it"),
        ):
            self.write(**splits)
            with self.assertRaisesRegex(ValueError, message):
                self.load()
        self.write()
        (self.folder / "valid.txt").unlink()
        with self.assertRaisesRegex(
            ValueError, "no valid split of corpus text; looked in .* for valid.txt, valid.txt.g"
        ):
            self.load()
        with self.assertRaisesRegex(ValueError, "needs the folder of its files"):
            text.load("ptb")
        with self.assertRaisesRegex(ValueError, "unknown corpus 'pbt'; choose one of topics, ptb"):
            text.load("pbt")
        with self.assertRaisesRegex(ValueError, "unknown vocabulary 'some'"):
            self.load(vocabulary="some")
        (self.folder / "valid.txt.gz").write_bytes(b"no gzip")
        with self.assertRaisesRegex(ValueError, "valid.txt.gz is damaged"):
            self.load()

    def test_batchify(self):
        # 11 words in 3 sequences of 3, without the remainder; columns are sequences.
        got = text.batchify(np.arange(11), 3)
        np.testing.assert_array_equal(got, [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
        with self.assertRaisesRegex(ValueError, "batch_size = 6 leaves less than 2 of 11 words"):
            text.batchify(np.arange(11), 6)
        with self.assertRaisesRegex(ValueError, "batch_size must be at least 1; got 0"):
            text.batchify(np.arange(11), 0)

    def test_unigram_perplexity(self):
        # 5 training words: a twice, b once, <eos> twice; with add-one smoothing 3/8, 2/8, 3/8.
        corpus = text.Corpus("x", ("a", "b", "<eos>"), *map(np.array, ([0, 0, 2, 1, 2], [0, 1], [2])))
        assert text.unigram_perplexity(corpus) == pytest.approx((8 / 3 * 4) ** 0.5)
        assert text.unigram_perplexity(corpus, "test") == pytest.approx(8 / 3)


class TopicsTest(chex.TestCase):
    def test_tokens(self):
        got = topics.tokenize('The "assert" of __debug__ isn\'t 3.14, x2')
        assert got == ["the", '"', "assert", '"', "of", "__debug__", "isn't", "N", ".", "N", ",", "x", "N"]

    def test_corpus(self):
        corpus = text.load("topics")
        assert 20_000 < len(corpus.train) < 200_000
        assert 1_000 < len(corpus.vocabulary) < 10_000
        for split in (corpus.valid, corpus.test):
            assert 0.04 < len(split) / len(corpus.train) < 0.25
        lines = topics.splits()
        assert not set(lines["train"]) & {*lines["valid"], *lines["test"]}
        assert "<unk>" in corpus.vocabulary


@pytest.mark.skipif(not DATA, reason="set NAS_DATA_DIR to the folder of the published corpora")
class PublishedTest(chex.TestCase):
    def test_penn_treebank(self):
        corpus = text.load("ptb", DATA)
        assert len(corpus.vocabulary) == 10_000
        assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [929_589, 73_760, 82_430]
        assert text.unigram_perplexity(corpus) == pytest.approx(684.73, abs=0.01)
        np.testing.assert_array_equal(
            text.encode(corpus.vocabulary[:3], {"aer": 7, "banknote": 8, "berlitz": 9}), [7, 8, 9]
        )
