"""Linear maps: values and gradients of the plain product, with any leading axes."""

import chex
import jax
import jax.numpy as jnp
from absl.testing import parameterized

from nao_jax import linear


class LinearTest(chex.TestCase, parameterized.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(((5,),), ((5, 4),), ((2, 5, 4),))
    def test_as_the_plain_product(self, lead):
        keys = jax.random.split(jax.random.key(0), 3)
        inputs = jax.random.normal(keys[0], (*lead, 3))
        weights = jax.random.normal(keys[1], (3, 6))
        sums = jax.random.normal(keys[2], (*lead, 6))

        def loss(product):
            return lambda inputs, weights: jnp.sum(jnp.sin(product(inputs, weights)) * sums)

        found = self.variant(jax.value_and_grad(loss(linear.product), argnums=(0, 1)))(inputs, weights)
        expected = jax.value_and_grad(loss(jnp.dot), argnums=(0, 1))(inputs, weights)
        chex.assert_trees_all_close(found, expected, atol=1e-5)

    def test_members_of_a_vmap_are_like_each_alone(self):
        inputs = jax.random.normal(jax.random.key(0), (4, 5, 3))
        weights = jax.random.normal(jax.random.key(1), (4, 3, 6))
        gradient = jax.grad(lambda *args: jnp.sum(linear.product(*args) ** 2), argnums=(0, 1))
        found = jax.vmap(gradient)(inputs, weights)
        expected = [gradient(*pair) for pair in zip(inputs, weights)]
        chex.assert_trees_all_close(found, jax.tree.map(lambda *x: jnp.stack(x), *expected), atol=1e-5)
