"""Names that were probably meant, for messages about misspelt ones."""

import difflib
from collections.abc import Iterable


def hint(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean X or Y?" with the known names nearest to a misspelt one, empty if none is near."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""
