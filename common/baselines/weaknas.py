"""WeakNAS: samples of the best predictions of a weak predictor, round by round (arXiv:2102.10490)."""

from typing import Annotated

import jax
import jax.numpy as jnp

from common import compilation, types
from common import config as configs
from common.baselines import candidates, path_encoding, predictor, stateless

_AT_LEAST_1 = configs.Range(at_least=1)


@configs.dataclass
class Config(predictor.Config):
    """Settings of WeakNAS."""

    num_members: Annotated[int, "networks of the ensemble", _AT_LEAST_1] = 1
    width: Annotated[int, "units of a hidden layer", _AT_LEAST_1] = 100
    num_best: Annotated[int, "architectures with the best predictions, of which a round is sampled", _AT_LEAST_1] = 100
    num_candidates: Annotated[
        int, "random architectures to predict, and mutations of the best, in spaces that cannot be listed", _AT_LEAST_1
    ] = 1000


@compilation.in_32_bits
def searcher(space: types.SearchSpace, config: Config | None = None, *, name: str = "weaknas") -> types.Searcher:
    """Returns WeakNAS.

    After random architectures, each round trains a predictor from scratch on all results, ranks the whole space, and
    samples unseen architectures uniformly from the `num_best` best predictions, seen ones counted, then takes the next.
    The numbers are those of the released commands for NAS-Bench-201, whose predictor has 4 layers of 1,000 units,
    trained for 100 epochs on the squared error; here it is smaller, to save time, and trained on the absolute error. A
    space that cannot be listed is represented by random architectures and mutations of the best.
    """
    config = config or Config()
    encode = path_encoding.encoder(space, config.encoding)

    def choose(key, known, count):
        fit_key, candidate_key, sample_key = jax.random.split(key, 3)
        params = predictor.fit(fit_key, known.history, encode, config=config)
        archs = known.pool
        if not archs.shape[0]:
            random_key, mutation_key = jax.random.split(candidate_key)
            sizes = {"num_parents": config.num_best, "count": config.num_candidates}
            mutated = candidates.mutations(mutation_key, space, known.history, **sizes)
            archs = jnp.concatenate([candidates.random(random_key, space, known, count=config.num_candidates), mutated])
        predictions = jnp.mean(predictor.predict(params, encode(archs)), axis=0)
        least = jax.lax.top_k(predictions, min(config.num_best, len(predictions)))[0][-1]
        noise = jax.random.uniform(sample_key, predictions.shape)
        scores = jnp.where(predictions >= least, jnp.max(predictions) + noise, predictions)
        return candidates.best_unseen(known, archs, scores, count=count)

    return stateless.after_random(space, choose, config=config, name=name)


ALGORITHM = types.Algorithm("weaknas", Config(), {"weaknas": Config()}, searcher)
