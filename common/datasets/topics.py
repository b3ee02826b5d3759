"""A small English corpus that comes with Python: the texts of its `help()`, from `pydoc_data.topics`.

Each paragraph of prose is one line; indented paragraphs (programs, grammar, tables), headings and duplicates are
excluded. Text is lowercased and tokenized into words, numbers (all become `N`, as in the Penn Treebank) and single
punctuation marks. Words that occur once become `<unk>`. Of every 20 consecutive paragraphs, 16 are for training, 2 for
validation and 2 for testing. The texts differ slightly between versions of Python.
"""

import collections
import itertools
import re

_PERIOD = 16 * ("train",) + 2 * ("valid",) + 2 * ("test",)
_WORD = re.compile(r"[a-z_]*[a-z][a-z_]*(?:'[a-z]+)?|\d+|[^\w\s]|\w")
_MIN_WORDS = 6


def splits() -> dict[str, list[str]]:
    """Returns the lines of "train", "valid" and "test", words separated by spaces."""
    paragraphs = _paragraphs()
    counts = collections.Counter(word for words in paragraphs for word in words)
    lines = [" ".join(word if counts[word] > 1 else "<unk>" for word in words) for words in paragraphs]
    lines = list(dict.fromkeys(lines))  # <unk> makes some equal
    found = {name: [] for name in _PERIOD}
    for line, name in zip(lines, itertools.cycle(_PERIOD), strict=False):
        found[name].append(line)
    return found


def tokenize(text: str) -> list[str]:
    """Returns the words of a text."""
    return ["N" if word.isdigit() else word for word in _WORD.findall(text.lower())]


def _paragraphs():
    """Returns the words of each paragraph of prose, in the order of the topics' names."""
    from pydoc_data import topics  # half a megabyte that no other corpus needs

    found = {}
    for name in sorted(topics.topics):
        for block in re.split(r"\n\s*\n", topics.topics[name]):
            lines = block.strip("\n").splitlines()
            is_prose = lines and not lines[0].startswith("   ") and not re.fullmatch(r"[*=~^-]+", lines[-1].strip())
            words = tuple(tokenize(block)) if is_prose else ()
            if len(words) >= _MIN_WORDS:
                found.setdefault(words)
    return list(found)
