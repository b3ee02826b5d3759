"""NAO and SemiNAS: gradient ascent in a learned continuous space of architectures (arXiv:1808.07233, 2002.10389)."""

from common import objectives, types
from nao_jax import explain as explanations
from nao_jax.config import Config
from nao_jax.presets import PRESETS, SPACES
from nao_jax.search import searcher

ALGORITHM = types.Algorithm(
    name="nao",
    config=Config(),
    presets=PRESETS,
    searcher=searcher,
    explain=explanations.explain,
    max_objectives=objectives.MOST,
)
__all__ = ["ALGORITHM", "PRESETS", "SPACES", "Config", "searcher"]
