"""Text to model, word by word: corpora in the files of Mikolov, and one that comes with Python.

A corpus is three files of words between blanks, of which every line ends in one more word, `<eos>`. Words are
numbered in the order in which they first come, in the training file, then in the others.
"""

import gzip
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from common.datasets import topics

END, UNKNOWN = "<eos>", "<unk>"
SPLITS = ("train", "valid", "test")
VOCABULARIES = ("all", "train")
_SHOWN = 5


class Corpus(NamedTuple):
    """Words of three splits as numbers.

    Attributes:
      name: of the corpus.
      vocabulary: the words.
      train: int32[N], to learn from.
      valid: int32[N], for every choice.
      test: int32[N], for reports.
    """

    name: str
    vocabulary: tuple[str, ...]
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


class _Source(NamedTuple):
    """Where a corpus comes from.

    Attributes:
      folders: names under which its folder is looked for, besides the one given.
      prefix: of its files' names; they may also be without.
      about: where to get it, for an error.
    """

    folders: tuple[str, ...]
    prefix: str
    about: str


FILES: Mapping[str, _Source] = {
    "ptb": _Source(("ptb", "penn"), "ptb.", "the Penn Treebank as preprocessed by Mikolov: ptb.{train,valid,test}.txt"),
    "wikitext2": _Source(
        ("wikitext2", "wikitext-2"), "wiki.", "WikiText-2 (word level): wiki.{train,valid,test}.tokens"
    ),
    "text": _Source((), "", "your own words: {train,valid,test}.txt"),
}
CORPORA = ("topics", *FILES)


def load(name: str, data_dir: str | os.PathLike | None = None, *, vocabulary: str = "all") -> Corpus:
    """Returns a corpus.

    Args:
      name: one of `CORPORA`. `topics` comes with Python, `text` is any text of yours in files of this form.
      data_dir: the folder of its files, or one above it; not needed for `topics`.
      vocabulary: whose words are known, those of "all" splits, as in published figures, or of "train" alone. Then
        other words become `<unk>`, which the training split must have.

    Raises:
      ValueError: the name is unknown, a file is missing, empty or not UTF-8, or a word is not known.
    """
    if name not in CORPORA:
        raise ValueError(f"unknown corpus {name!r}; choose one of {', '.join(CORPORA)}")
    if vocabulary not in VOCABULARIES:
        raise ValueError(f"unknown vocabulary {vocabulary!r}; choose one of {', '.join(VOCABULARIES)}")
    splits = {split: words(lines) for split, lines in _lines(name, data_dir).items()}
    counted = splits.values() if vocabulary == "all" else [splits["train"]]
    numbers: dict[str, int] = {}
    for split in counted:
        for word in split:
            numbers.setdefault(word, len(numbers))
    return Corpus(name, tuple(numbers), **{split: encode(found, numbers) for split, found in splits.items()})


def words(lines: Iterable[str]) -> list[str]:
    """Returns the words of lines, `<eos>` at the end of each, an empty one's too."""
    return [word for line in lines for word in (*line.split(), END)]


def encode(text: Iterable[str], numbers: Mapping[str, int]) -> np.ndarray:
    """Returns int32[N], the numbers of words; those that are not known count as `<unk>` where that is known.

    Raises:
      ValueError: a word is not known, and neither is `<unk>`.
    """
    text = list(text)
    unknown = numbers.get(UNKNOWN, -1)
    found = np.fromiter((numbers.get(word, unknown) for word in text), np.int32, len(text))
    if (missing := np.flatnonzero(found < 0)).size:
        shown = ", ".join(repr(text[at]) for at in missing[:_SHOWN])
        raise ValueError(
            f"{missing.size} words are not in the vocabulary, such as {shown}, and it has no {UNKNOWN} to stand for "
            "them; take the vocabulary of all splits"
        )
    return found


def batchify(tokens: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns int32[N, B]: the text cut into B equal pieces that are read side by side; what is over is left out.

    Raises:
      ValueError: no piece would have two words, one to read and one to predict.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; got {batch_size}")
    length = len(tokens) // batch_size
    if length < 2:
        raise ValueError(
            f"batch_size = {batch_size} leaves less than 2 of {len(tokens)} words to each sequence; make it smaller"
        )
    return np.ascontiguousarray(np.asarray(tokens, np.int32)[: length * batch_size].reshape(batch_size, length).T)


def unigram_perplexity(corpus: Corpus, split: str = "valid") -> float:
    """Returns the perplexity of the frequencies of words in training, each counted once more than it is there."""
    size = len(corpus.vocabulary)
    counts = np.bincount(corpus.train, minlength=size) + 1.0
    return float(np.exp(-np.mean(np.log(counts / counts.sum())[getattr(corpus, split)])))


def _lines(name, data_dir) -> dict[str, list[str]]:
    if name == "topics":
        return topics.splits()
    source = FILES[name]
    if data_dir is None:
        raise ValueError(f"corpus {name} needs the folder of its files (--data_dir, or $NAS_DATA_DIR): {source.about}")
    folders = [pathlib.Path(data_dir), *(pathlib.Path(data_dir, folder) for folder in source.folders)]
    return {split: _read(_find(name, source, folders, split)) for split in SPLITS}


def _find(name, source, folders, split):
    """Returns the path of a split's file."""
    names = [f"{prefix}{split}.{ending}" for prefix in dict.fromkeys((source.prefix, "")) for ending in _ENDINGS]
    for folder in folders:
        for candidate in names:
            if (path := folder / candidate).is_file():
                return path
    looked = " or ".join(map(str, folders))
    raise ValueError(f"no {split} split of corpus {name}; looked in {looked} for {', '.join(names)}: {source.about}")


def _read(path):
    """Returns the lines of a file."""
    try:
        text = _READERS.get(path.suffix, pathlib.Path.read_bytes)(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; write it anew as UTF-8") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    lines = text.split("\n")  # no other sign ends a line: some texts hold them as words
    if lines[-1].strip() == "":
        lines.pop()
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path} holds no words")
    return lines


def _unzip(path):
    with gzip.open(path) as file:
        return file.read()


_ENDINGS = ("txt", "txt.gz", "tokens", "tokens.gz")
_READERS: Mapping[str, Callable[[pathlib.Path], bytes]] = {".gz": _unzip}
