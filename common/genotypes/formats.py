"""Text formats of genotypes by name. A new one is two functions and one line in `_FORMATS`."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common import config, spaces
from common.genotypes import benchmark_texts, cell_texts, conversion, json_text
from common.genotypes.genotype import CellGenotype, Genotype, RecurrentGenotype, check_kind
from common.spaces import integer_strings, lanas_cell, nao_cnn, nao_rnn, nasbench201, nasbench_macro, seminas_mobile

_OTHER_NUMBERS = {"nasbench201": "; NASLib numbers operations and edges differently, so such a row is another cell"}


class Format(NamedTuple):
    """A text format of genotypes.

    Attributes:
      read: text -> genotype, or a `ValueError`. Blanks and byte order marks at the ends of the text are ignored.
      write: genotype -> text, or a `ValueError` if the format cannot represent the genotype.
      help: a short description.
    """

    read: Callable[[str], Genotype]
    write: Callable[[Genotype], str]
    help: str


def get(name: str) -> Format:
    """Returns the format called `name`; a `ValueError` lists the formats there are."""
    config.one_of("format", name, FORMATS)
    return FORMATS[name]


def written(genotype: Genotype) -> dict[str, str]:
    """Returns the texts of a genotype in all formats that can represent it, by name of format."""
    texts = {}
    for name, made in FORMATS.items():
        try:
            texts[name] = made.write(genotype)
        except ValueError:  # the format is of another space
            continue
    return texts


def recognize(text: str) -> str | None:
    """Returns the name of the format of a text that shows it, or None; texts of integers show none."""
    if text.lstrip("\ufeff \r\n\t").startswith("{") or "(" in text or "|" in text:
        return next((name for mark, name in _MARKS.items() if mark in text), "json" if "{" in text else None)
    return None


def _string(space: str, read: Callable, write: Callable, text: str) -> Format:
    """The published string of a space, by functions between strings and rows."""
    return Format(
        lambda words: conversion.from_valid_arch(space, read(words)),
        lambda genotype: write(conversion.to_arch(genotype, space)),
        text,
    )


def _of_kind(kind: type, read: Callable, write: Callable, text: str) -> Format:
    """A format of one kind of genotype, of no particular space."""

    def checked(genotype):
        check_kind(genotype, kind, text)
        return write(genotype)

    return Format(read, checked, text)


def _nao(space: str, text: str, first_id: int = 0) -> Format:
    def read(words):
        try:
            return nao_cnn.from_string(words, space, first_id=first_id)
        except ValueError as error:
            is_ambiguous = space == "nao_large" and not first_id
            hint = "; if operations are numbered from 5, use nao_large_from_5" if is_ambiguous else ""
            raise ValueError(f"{error}{hint}") from None

    help_text = f"40 integers, input operation input operation ..., {text}"
    return _string(space, read, lambda row: nao_cnn.to_string(row, space, first_id=first_id), help_text)


def _recurrent(convention: str) -> Format:
    names = ", ".join(f"{at} {name}" for at, name in enumerate(nao_rnn.CONVENTIONS[convention]))
    return _string(
        "nao_rnn",
        lambda words: nao_rnn.from_string(words, convention=convention),
        lambda row: nao_rnn.to_string(row, convention=convention),
        f"22 integers, state activation ..., activations {names}",
    )


def _row(space: str) -> Format:
    """The row of a space, as searches print it."""
    num_choices = spaces.get(space).num_choices
    places = [f"decision {at}" for at in range(len(num_choices))]
    return Format(
        lambda text: conversion.from_arch(space, integer_strings.read(text, f"{space} row", places, num_choices)),
        lambda genotype: integer_strings.write(conversion.to_arch(genotype, space)),
        f"{len(num_choices)} integers, a row of {space} as searches print it{_OTHER_NUMBERS.get(space, '')}",
    )


def _tokens(space: str) -> Format:
    """The tokens of a space."""
    found = spaces.get(space)
    length, vocabulary = found.legal_tokens.shape[:2]

    def read(text):
        places = [f"token {at}" for at in range(length)]
        tokens = integer_strings.read(text, f"{space} tokens", places, [vocabulary] * length)
        for at, (previous, token) in enumerate(itertools.pairwise([0, *tokens.tolist()])):
            legal = np.flatnonzero(found.legal_tokens[at, previous]).tolist()
            if token not in legal:
                raise ValueError(f"{space} tokens: token {at} of {length} is {token}; legal here are {legal}")
        return conversion.from_arch(space, np.asarray(found.from_tokens(tokens[None]))[0])

    def write(genotype):
        return integer_strings.write(found.tokens(conversion.to_arch(genotype, space)[None])[0])

    return Format(read, write, f"{length} tokens of {space}, as NAO reads and writes them")


_FORMATS = {
    "json": Format(json_text.from_text, json_text.to_text, "this project's own, of every genotype"),
    "nao_small": _nao("nao_small", "of NAO with shared weights, NAONet-B and NAONet-V2: operations from 0"),
    "nao_middle": _nao("nao_middle", "of Balanced NAO's ten operations, from 0"),
    "nao_large": _nao("nao_large", "of NAO's eleven operations, from 0"),
    "nao_large_from_5": _nao(
        "nao_large", "of NAO's eleven operations, from 5, as NAONet-A is published", nao_cnn.NAONET_A_FIRST_ID
    ),
    "nao_json": _of_kind(
        CellGenotype, cell_texts.read_nao, cell_texts.write_nao, "the JSON of NAO's TensorFlow program"
    ),
    **{f"{convention}_rnn": _recurrent(convention) for convention in nao_rnn.CONVENTIONS},
    "lanas_cell": _string(
        "lanas_cell", lanas_cell.from_string, lanas_cell.to_string, "28 integers, operations then inputs"
    ),
    "lanas_mask": Format(benchmark_texts.read_mask, benchmark_texts.write_mask, "160 bits of one-shot LaNAS"),
    "seminas_mobile": _string(
        "seminas_mobile", seminas_mobile.from_string, seminas_mobile.to_string, "21 integers, operations from 1"
    ),
    "ofa_mobile": Format(
        benchmark_texts.read_ofa, benchmark_texts.write_ofa, "{'ks': [...], 'e': [...], 'd': [...], 'r': [...]}"
    ),
    "darts": _of_kind(
        *(CellGenotype, cell_texts.read_darts, cell_texts.write_darts),
        "Genotype(normal=[...], normal_concat=[...], reduce=...)",
    ),
    "darts_rnn": _of_kind(
        *(RecurrentGenotype, cell_texts.read_darts_recurrent, cell_texts.write_darts_recurrent),
        "Genotype(recurrent=[...], concat=[...])",
    ),
    "nasbench101": Format(
        *(benchmark_texts.read_vertices, benchmark_texts.write_vertices),
        '{"module_adjacency": [...], "module_operations": [...]}',
    ),
    "nasbench201": _string(
        *("nasbench201", lambda words: nasbench201.from_string("".join(words.split())), nasbench201.to_string),
        "|op~0|+|op~0|op~1|+...",
    ),
    "nasbench_macro": _string(
        "nasbench_macro", nasbench_macro.from_key, lambda row: "".join(map(str, row.tolist())), "eight digits 0 to 2"
    ),
    **{f"{space}_row": _row(space) for space in spaces.SPACES},
    **{f"{space}_tokens": _tokens(space) for space in spaces.SPACES},
}

FORMATS: dict[str, Format] = {
    name: made._replace(read=lambda text, read=made.read: read(json_text.clean(text)))
    for name, made in _FORMATS.items()
}
_MARKS = {  # of the formats that show themselves
    **{"recurrent=": "darts_rnn", "Genotype(": "darts", "conv_dag": "nao_json", "module_adjacency": "nasbench101"},
    **{"'ks'": "ofa_mobile", '"ks"': "ofa_mobile", "|": "nasbench201"},
}
