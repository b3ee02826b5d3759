"""Acquisition: selection of a candidate within the chosen leaf.

The paper samples uniformly (arXiv:1906.06832, section 3.3); its second version shows a "LaNAS-bayes" curve, with a
model inside the leaf. Our model is the regressor of the tree: the Gaussian process, or the leaf's ridge regression,
which is the mean of a Bayesian linear model. Its variance serves expected improvement and Thompson sampling.
"""

import chex
import jax
import jax.numpy as jnp

from lanas_jax import config as configs
from lanas_jax import kernel, partition
from lanas_jax import tree as trees

_NUM_BLOCKS = 48


def choose(
    key: chex.PRNGKey,
    noise: chex.Array,
    tree: trees.Tree,
    leaf: chex.Array,
    candidates: tuple[chex.Array, chex.Array],
    measured: tuple[chex.Array, chex.Array, chex.Array],
    *,
    config: configs.Config,
    posterior: kernel.Posterior | None = None,
    means: chex.Array | None = None,
) -> chex.Array:
    """Returns int32[], the index of the selected candidate; ties are broken at random.

    Args:
      key: a key, for the Thompson acquisition.
      noise: float32[C], uniform in [0, 1); decides between ties, and what else is random.
      leaf: int32[], the leaf whose regressor scores the candidates.
      candidates: (features float32[C, F], is_candidate bool[C]); at least one must be True.
      measured: (features float32[N, F], targets float32[N], is_member bool[N]), the data that the leaf's
        regressor was fitted to.
      config: the settings, with the name of the acquisition.
      posterior: of the kernel regressor, which then scores in place of the leaf's.
      means: float32[C], its predictions.
    """
    features, is_candidate = candidates
    if posterior is None and config.acquisition in ("greedy", "tempered"):
        means = trees.predict(tree, features, leaf)
    if config.acquisition == "uniform":
        score = noise
    elif config.acquisition == "greedy":
        score = means + 1e-5 * noise
    elif config.acquisition == "tempered":
        gumbel = -jnp.log(-jnp.log(jnp.clip(noise, 1e-20, 1.0 - 1e-7)))
        score = means + config.temperature * gumbel
    elif config.acquisition == "thompson":
        weights = _posterior_draw(key, tree, leaf, measured, ridge=config.ridge)
        score = features @ weights + 1e-5 * noise
    elif posterior is not None:
        return _improve(posterior, features, means, is_candidate, noise)
    else:
        return _expected_improvement(tree, leaf, candidates, measured, config=config)
    return jnp.argmax(jnp.where(is_candidate, score, -jnp.inf)).astype(jnp.int32)


def _improve(posterior, features, means, is_candidate, noise):
    """Returns the candidate of the largest expected improvement, among well predicted and random ones.

    The best of every block of candidates, by prediction and at random, are evaluated.
    """
    shortlist = jnp.concatenate([_best_of_blocks(jnp.where(is_candidate, by, -jnp.inf)) for by in (means, noise)])
    score = kernel.log_expected_improvement(
        means[shortlist], kernel.deviations(posterior, features[shortlist]), posterior.best
    )
    return shortlist[jnp.argmax(jnp.where(is_candidate[shortlist], score, -jnp.inf))].astype(jnp.int32)


def _best_of_blocks(score: chex.Array) -> chex.Array:
    """Returns int32[B], the index of the largest of each of B interleaved blocks, of which some may be empty."""
    num_blocks = min(_NUM_BLOCKS, score.shape[0])
    padded = jnp.pad(score, (0, -score.shape[0] % num_blocks), constant_values=-jnp.inf).reshape(-1, num_blocks)
    is_best = padded == jnp.max(padded, axis=0)[None]
    at = jnp.max(jnp.where(is_best, jnp.arange(padded.shape[0])[:, None], 0), axis=0)  # twice as fast as argmax
    return jnp.minimum(at * num_blocks + jnp.arange(num_blocks), score.shape[0] - 1)


def _centered(tree, leaf, measured):
    """Returns (centered features, 0 for rows outside the leaf; variance of the leaf's residuals)."""
    features, values, is_member = measured
    errors = jnp.where(is_member, values - trees.predict(tree, features, leaf), 0.0)
    num_members = jnp.sum(is_member)
    mean = jnp.sum(jnp.where(is_member[:, None], features, 0.0), axis=0) / jnp.maximum(num_members, 1)
    # One pseudo-residual of 0.1 keeps the variance of an exact fit to few points above 0.
    variance = (jnp.sum(errors**2) + 0.01) / jnp.maximum(num_members, 1)
    return jnp.where(is_member[:, None], features - mean[None], 0.0), variance


def _posterior_draw(key, tree, leaf, measured, *, ridge):
    """Samples the posterior of the leaf's weights by solving a perturbed regression.

    With A = X'X + ridge I, solving A d = X'e + sqrt(ridge) z for standard normal e, z gives d ~ N(0, A^-1), exactly.
    """
    centered, variance = _centered(tree, leaf, measured)
    data_key, prior_key = jax.random.split(key)
    right = centered.T @ jax.random.normal(data_key, centered.shape[:1])
    right = right + jnp.sqrt(ridge) * jax.random.normal(prior_key, right.shape)
    gram = centered.T @ centered
    diagonal = jnp.diagonal(gram) + ridge
    step = partition.conjugate_gradient(lambda x: gram @ x + ridge * x, right, diagonal)
    return tree.weights[leaf] + jnp.sqrt(variance) * step


def _expected_improvement(tree, leaf, candidates, measured, *, config):
    """Returns the candidate of the largest expected improvement, among the num_candidates best predicted."""
    features, is_candidate = candidates
    mean = jnp.where(is_candidate, trees.predict(tree, features, leaf), -jnp.inf)
    mean, shortlist = jax.lax.top_k(mean, min(config.num_candidates, mean.shape[0]))
    centered, variance = _centered(tree, leaf, measured)
    _, values, is_member = measured
    shift = jnp.sum(jnp.where(is_member[:, None], measured[0], 0.0), axis=0) / jnp.maximum(jnp.sum(is_member), 1)
    gram = centered.T @ centered
    diagonal = jnp.diagonal(gram) + config.ridge
    points = features[shortlist] - shift[None]
    solved = jax.vmap(lambda x: partition.conjugate_gradient(lambda w: gram @ w + config.ridge * w, x, diagonal))(
        points
    )
    deviation = jnp.sqrt(variance * jnp.maximum(jnp.sum(points * solved, axis=1), 1e-12))
    gain = mean - jnp.max(jnp.where(is_member, values, -jnp.inf), initial=-jnp.inf)
    gain = jnp.where(jnp.any(is_member), gain, mean)
    standard = gain / deviation
    density = jnp.exp(-0.5 * standard**2) / jnp.sqrt(2 * jnp.pi)
    improvement = gain * jax.scipy.special.ndtr(standard) + deviation * density
    return shortlist[jnp.argmax(jnp.where(jnp.isfinite(mean), improvement, -jnp.inf))].astype(jnp.int32)
