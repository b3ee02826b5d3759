"""Word-level corpora: Mikolov's files, your own text and one that comes with Python; perplexity as a fitness.

A corpus is three text files of words separated by whitespace; every line ends in one more word, `<eos>`, unless it
ends in it already. Words are indexed in the order of first occurrence, in the training file, then in the others.

Fitness of a language model is the fraction of the uniform distribution's cross-entropy that it removes, at least 0:
1 - loss / ln V, with the loss in nats per word and V words in the vocabulary. It determines the perplexity,
exp((1 - fitness) ln V): on Penn Treebank (V = 10,000) a perplexity of 56 is 0.563.
"""

import math
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from common import config as configs
from common import paths
from common.datasets import topics
from common.file_formats import files, text_file
from common.records import progress, run_dir

END, UNKNOWN = "<eos>", "<unk>"
SPLITS = ("train", "valid", "test")
VOCABULARIES = ("all", "train")


class Corpus(NamedTuple):
    """Words of a corpus, and int32[N] word indices of three splits: `valid` is for choices, `test` for reports."""

    name: str
    vocabulary: tuple[str, ...]
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()  # what is unusual about its files

    @property
    def checksum(self) -> int:
        """Checksum of vocabulary and words."""
        words = np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8)
        return run_dir.checksum([words, self.train, self.valid, self.test])


class _Source(NamedTuple):
    """Files of a corpus."""

    folders: tuple[str, ...]  # subfolders of the data folder that are searched besides it
    prefix: str  # of the file names, optional
    about: str  # where to get it, for error messages


FILES: Mapping[str, _Source] = {
    "ptb": _Source(("ptb", "penn"), "ptb.", "the Penn Treebank as preprocessed by Mikolov: ptb.{train,valid,test}.txt"),
    "wikitext2": _Source(
        ("wikitext2", "wikitext-2"), "wiki.", "WikiText-2 (word level): wiki.{train,valid,test}.tokens"
    ),
    "text": _Source((), "", "your own words: {train,valid,test}.txt"),
}
CORPORA = ("topics", *FILES)
_ENDINGS = ("txt", "txt.gz", "tokens", "tokens.gz")


def load(name: str, data_dir: str | os.PathLike | None = None, *, vocabulary: str = "all") -> Corpus:
    """Returns a corpus.

    Args:
      name: one of `CORPORA`. `topics` comes with Python, `text` is your own text.
      data_dir: the folder of its files or its parent; not needed for `topics`.
      vocabulary: "all": the words of all splits, as in published results; "train": those of the training split,
        other words become `<unk>`, which the training split must contain.

    Raises:
      ValueError: the name is unknown, a file is missing, empty or not UTF-8, or a word is not in the vocabulary.
    """
    configs.one_of("corpus", name, CORPORA)
    configs.one_of("vocabulary", vocabulary, VOCABULARIES)
    lines = _lines(name, data_dir)
    splits = {split: words(each) for split, each in lines.items()}
    counted = splits.values() if vocabulary == "all" else [splits["train"]]
    numbers: dict[str, int] = {}
    for split in counted:
        for word in split:
            numbers.setdefault(word, len(numbers))
    encoded = {split: encode(found, numbers) for split, found in splits.items()}
    return Corpus(name, tuple(numbers), **encoded, notes=_notes(lines, splits))


def report(corpus: Corpus) -> None:
    """Prints what was understood of a corpus of the user, and what is odd about it."""
    if corpus.name != "topics":
        progress.report(describe(corpus), corpus.notes)


def describe(corpus: Corpus) -> str:
    """Returns one line: the words and lines of each split, and the size of the vocabulary."""
    end = corpus.vocabulary.index(END)
    parts = ((split, getattr(corpus, split)) for split in SPLITS)
    texts = (f"{len(words):,} words in {int(np.sum(words == end)):,} lines of {split}" for split, words in parts)
    return f"corpus {corpus.name}: {', '.join(texts)} ({END} included), vocabulary of {len(corpus.vocabulary):,} words"


def _notes(lines, splits):
    """Returns the oddities of the lines and words of each split."""
    notes = []
    if ended := sum(line.split()[-1:] == [END] for each in lines.values() for line in each):
        notes.append(f"{ended:,} lines end in {END} already, which is not added to them again")
    for split in ("valid", "test"):
        if splits[split] == splits["train"]:
            notes.append(f"the text of {split} is that of train")
    known = set(splits["train"])
    if len(known) > 100 and 2 * len(known) > len(splits["train"]):
        notes.append("most words occur once; are words separated by blanks?")
    for split in ("valid", "test"):
        unknown = sum(word not in known for word in splits[split])
        if 10 * unknown > len(splits[split]):
            notes.append(f"{unknown:,} of {len(splits[split]):,} words of {split} do not occur in train")
    return tuple(notes)


def words(lines: Iterable[str]) -> list[str]:
    """Returns the words of lines, with one `<eos>` at the end of each line, including empty ones."""
    found = (line.split() for line in lines)
    return [word for line in found for word in (line if line[-1:] == [END] else (*line, END))]


def encode(text: Iterable[str], numbers: Mapping[str, int]) -> np.ndarray:
    """Returns int32[N], the indices of words; unknown words become `<unk>` if the vocabulary has it.

    Raises:
      ValueError: a word is unknown, and so is `<unk>`.
    """
    text = list(text)
    unknown = numbers.get(UNKNOWN, -1)
    found = np.fromiter((numbers.get(word, unknown) for word in text), np.int32, len(text))
    if (missing := np.flatnonzero(found < 0)).size:
        shown = ", ".join(repr(text[at]) for at in missing[:5])
        problem = f"{missing.size} words are not in the vocabulary, such as {shown}, and it has no {UNKNOWN}"
        raise ValueError(f"{problem}; use the vocabulary of all splits")
    return found


def batchify(tokens: np.ndarray, batch_size: int, *, name: str = "batch_size") -> np.ndarray:
    """Returns int32[N, B]: the text split into B sequences of equal length, without the remainder.

    Args:
      name: of the setting `batch_size`, for messages.

    Raises:
      ValueError: a sequence would have fewer than two words, one to read and one to predict.
    """
    if batch_size < 1:
        raise ValueError(f"{name} must be at least 1; got {batch_size}")
    length = len(tokens) // batch_size
    if length < 2:
        raise ValueError(f"{name} = {batch_size} leaves less than 2 of {len(tokens)} words to a sequence; choose fewer")
    return np.ascontiguousarray(np.asarray(tokens, np.int32)[: length * batch_size].reshape(batch_size, length).T)


def unigram_perplexity(corpus: Corpus, split: str = "valid") -> float:
    """Returns the perplexity of the unigram model of the training text, with add-one smoothing."""
    size = len(corpus.vocabulary)
    counts = np.bincount(corpus.train, minlength=size) + 1.0
    return float(np.exp(-np.mean(np.log(counts / counts.sum())[getattr(corpus, split)])))


def fitness(loss: float, vocabulary_size: int) -> float:
    """Returns the fitness of a loss in nats per word; NaN if the loss is not finite."""
    if not math.isfinite(loss):
        return math.nan
    return min(1.0, max(0.0, 1.0 - loss / math.log(vocabulary_size)))


def perplexity(fitness: float, vocabulary_size: int) -> float:
    """Returns the perplexity of a fitness; a lower bound where the fitness is 0."""
    return math.exp((1.0 - fitness) * math.log(vocabulary_size))


def _lines(name, data_dir) -> dict[str, list[str]]:
    if name == "topics":
        return topics.splits()
    source = FILES[name]
    if data_dir is None:
        raise ValueError(f"corpus {name} needs the folder of its files (data_dir, or $NAS_DATA_DIR): {source.about}")
    folders = [paths.path(data_dir), *(paths.path(data_dir) / folder for folder in source.folders)]
    lines = {}
    for split in SPLITS:
        names = [f"{prefix}{split}.{ending}" for prefix in dict.fromkeys((source.prefix, "")) for ending in _ENDINGS]
        path = next((folder / file for folder in folders for file in names if (folder / file).is_file()), None)
        if path is None:
            problem = f"no {split} split of corpus {name}; looked in {' or '.join(map(str, folders))}"
            raise ValueError(f"{problem} for {', '.join(names)}: {source.about}")
        lines[split] = _read(path)
    return lines


def _read(path):
    """Returns the lines of a file."""
    if path.suffix == ".gz" and files.kind_of(path) != "a gzip file":
        raise ValueError(f"{path} is damaged or cut short; copy it again")
    data = files.read_decompressed(path)
    if text_file.kind(data[:512]).startswith("a web page"):
        raise ValueError(f"{path} is {text_file.kind(data[:512])}")
    text = text_file.decode(data, path) if data else ""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    lines = text.split("\n")  # other line separators occur as words in some texts
    if lines[-1].strip() == "":
        lines.pop()
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path} holds no words")
    return lines
