"""LaNAS: Monte Carlo tree search over learned linear splits of the search space (arXiv:1906.06832)."""

from common import objectives, types
from lanas_jax import explain as explanations
from lanas_jax.config import PRESETS, Config
from lanas_jax.pools import for_space
from lanas_jax.search import searcher

ALGORITHM = types.Algorithm(
    name="lanas",
    config=Config(),
    presets=PRESETS,
    searcher=searcher,
    explain=explanations.explain,
    for_space=for_space,
    max_objectives=objectives.MOST,
)
__all__ = ["ALGORITHM", "PRESETS", "Config", "searcher"]
