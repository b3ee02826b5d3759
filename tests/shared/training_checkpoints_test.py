"""Checkpoints: retention, restoring, rejected folders, damaged files."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import logging
from absl.testing import parameterized

from common.training import checkpoints
from common.training import state as states

# When one array of a checkpoint cannot be read, Orbax leaves its other reads running.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ABOUT = {"dataset": "digits", "network": {"width": 8, "cells": [1, 2]}, "seed": 0}


def make_state(step, *, width=3, average=True):
    rng = np.random.default_rng(step)
    params = {
        "conv": {"kernel": jnp.asarray(rng.normal(size=(2, width)), jnp.float32)},
        "b": jnp.ones((4,), jnp.bfloat16),
    }
    batch_stats = {"norm": {"mean": jnp.asarray(rng.normal(size=width), jnp.float32)}}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.trace(0.9), optax.scale_by_learning_rate(lambda _: 0.1)
    )
    state = states.create({"params": params, "batch_stats": batch_stats}, optimizer, has_average=average)
    return state.replace(step=jnp.int32(step))


def template():
    return jax.eval_shape(lambda: make_state(0))


class CheckpointsTest(parameterized.TestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path / "checkpoints"

    def open(self, about=ABOUT, **more):
        return checkpoints.Checkpoints(self.folder, about, **more)

    def save(self, *steps_and_scores):
        with self.open() as saved:
            for step, score in steps_and_scores:
                saved.save(make_state(step), score=score)

    def test_changed_data_is_refused(self):
        for data in (None, 1):  # folders of older versions have none
            with self.open(data=data):
                pass
        (self.folder / checkpoints.ABOUT).unlink()
        with self.open(data=1), pytest.raises(ValueError, match="have changed since it began"):
            self.open(data=2)

    @parameterized.parameters(True, False)
    def test_what_comes_back_is_what_was_saved(self, average):
        state = make_state(5, average=average)
        with self.open() as saved:
            assert saved.latest(state) is None
            saved.save(state)
        with self.open() as saved:
            found = saved.latest(jax.eval_shape(lambda: make_state(0, average=average)))
        chex.assert_trees_all_equal(jax.device_get(found), jax.device_get(state))
        chex.assert_trees_all_equal_dtypes(found, state)
        assert jax.tree.structure(found) == jax.tree.structure(state)

    def test_a_state_may_be_used_up_while_it_is_written(self):
        state = {"big": jnp.ones((1500, 1500))}
        state = make_state(1).replace(params=state, opt_state=(), average=None)
        wanted = jax.device_get(state)
        add = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
        with self.open() as saved:
            saved.save(state)
            for _ in range(3):
                state = add(state)
            jax.block_until_ready(state)
        with self.open() as saved:
            chex.assert_trees_all_equal(jax.device_get(saved.latest(state)), wanted)

    def test_the_latest_and_the_best_are_kept(self):
        self.save((1, 0.5), (2, 0.9), (3, 0.7), (4, None), (5, 0.8), (6, None))
        with self.open() as saved:
            assert saved.steps() == [2, 5, 6]
            assert int(saved.latest(template()).step) == 6
            chex.assert_trees_all_equal(jax.device_get(saved.best(template())), jax.device_get(make_state(2)))
            saved.save(make_state(7), score=0.95)  # also after a restart
            saved.save(make_state(8))
        with self.open() as saved:
            assert saved.steps() == [7, 8]

    def test_another_run(self):
        self.save((1, None), (2, None))
        other = {**ABOUT, "network": {"width": 16, "cells": [1, 2]}, "seed": 3}
        with self.assertRaisesRegex(ValueError, "network.width was 8 and is now 16; seed was 0 and is now 3; start"):
            self.open(other)
        message = r"00000002 is of another network: average.batch_stats.norm.mean is float32\[3\] there and float32"
        with self.open() as saved:
            assert saved.best(template()) is None
            with self.assertRaisesRegex(ValueError, message):
                saved.latest(jax.eval_shape(lambda: make_state(0, width=5)))
            with self.assertRaisesRegex(ValueError, "is float32.* there and absent here"):
                saved.latest(jax.eval_shape(lambda: make_state(0, average=False)))
        assert [path.name for path in self.folder.glob("damaged-*")] == []

    def test_an_about_file_that_is_none_of_ours(self):
        self.folder.mkdir()
        (self.folder / checkpoints.ABOUT).write_text("[1]")
        with self.assertRaisesRegex(ValueError, "about.json does not describe checkpoints"):
            self.open()
        with self.assertRaisesRegex(ValueError, "has no checkpoints: there is no"):
            checkpoints.read_about(self.folder / "elsewhere")

    @parameterized.named_parameters(
        *((how, how) for how in ("flip", "truncate")),
        ("manifest", ("state/manifest.ocdbt", "")),
        ("metadata", ("state/_METADATA", "{")),
        ("told", ("told/metadata", "")),
    )
    def test_a_damaged_checkpoint_falls_back_to_the_one_before(self, damage):
        self.save((1, None), (2, None))
        _damage(self.folder / "00000002", damage)
        with self.open() as saved:
            with self.assertLogs(logging.get_absl_logger(), "WARNING") as logs:
                found = saved.latest(template())
            assert "00000002 is damaged" in "\n".join(logs.output)
            chex.assert_trees_all_equal(jax.device_get(found), jax.device_get(make_state(1)))
            saved.save(make_state(2))  # the way is free to compute it again
        with self.open() as saved:
            assert (saved.steps(), int(saved.latest(template()).step)) == ([1, 2], 2)

    def test_unfinished_and_damaged(self):
        self.save((1, None), (2, None), (3, None))
        whole = self.folder / "00000003"
        whole.rename(whole.with_name("00000003.orbax-checkpoint-tmp"))  # as a kill while it is written leaves it
        with self.open() as saved:
            assert saved.steps() == [2]
        _damage(self.folder / "00000002", "truncate")
        with self.open() as saved, self.assertRaisesRegex(ValueError, "all 1 checkpoints in .* are damaged"):
            saved.latest(template())


def _damage(folder, how):
    """Damages a checkpoint the way a disk, or a person, might."""
    data = [path for path in folder.rglob("d/*") if path.is_file()]
    if how == "flip":  # one bit of each array file
        for path in data:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            path.write_bytes(content)
    elif how == "truncate":
        for path in data:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:  # a file, and its new content
        name, content = how
        (folder / name).write_text(content)
