"""Checkpoints of training runs, written by orbax: whole or not at all."""

import time
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from toymodels.training.loop import History


class CheckpointMismatchError(ValueError):
    """A checkpoint does not fit the state it is restored into."""


def saved_below(directory: Path) -> list[Path]:
    """The folders of all complete checkpoints in folders of `directory`, oldest first."""
    found = [mark.parent for mark in directory.rglob("_CHECKPOINT_METADATA")]
    complete = [folder for folder in found if folder.name.isdigit()]
    return sorted(complete, key=lambda folder: folder.stat().st_mtime)


class DirectoryCheckpoints:
    """Keeps the newest state and its metrics under one directory.

    Nothing is made on disk before the first save.

    Args:
        directory: each checkpoint is a folder in it, named by its step.
        seconds: the least time between two saves; states in between are not written.
        keep: how many of the newest checkpoints stay.
    """

    def __init__(self, directory: str | Path, seconds: float = 0.0, keep: int = 1):
        self.directory = Path(directory).absolute()
        self.seconds, self.keep = seconds, keep
        self._last_save = time.monotonic()

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self.keep, enable_async_checkpointing=False
        )
        handlers = {name: ocp.StandardCheckpointHandler() for name in ("state", "history")}
        return ocp.CheckpointManager(
            self.directory, options=options, item_handlers=handlers
        )

    @property
    def latest_step(self) -> int | None:
        return self._manager.latest_step() if self.directory.exists() else None

    def save(self, step: int, state: PyTree, history: History, now: bool = False) -> bool:
        """Writes `state` and `history`, unless the last save is too recent and not `now`.

        Returns:
            Whether this step is on disk.
        """
        if not now and time.monotonic() - self._last_save < self.seconds:
            return False
        if step == self.latest_step:
            return True
        rows = {"step": history.step, **history.metrics}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(jax.device_get(state)),
                history=ocp.args.StandardSave(rows),
            ),
        )
        self._last_save = time.monotonic()
        return True

    def restore(self, state: PyTree) -> tuple[PyTree, History] | None:
        """The newest checkpoint, or None when there is none.

        Raises:
            CheckpointMismatchError: it holds another tree or other shapes than `state`.
        """
        step = self.latest_step
        if step is None:
            return None
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        self._require_same_shapes(step, state)
        found = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract),
                history=ocp.args.StandardRestore(),
            ),
        )
        rows = {name: np.asarray(row) for name, row in found["history"].items()}
        # By way of the host, so that the caller's program places it on its own devices.
        on_host = jax.tree.map(np.asarray, found["state"])
        return jax.tree.map(jnp.asarray, on_host), History(rows.pop("step"), rows)

    def _require_same_shapes(self, step: int, state: PyTree) -> None:
        stored = self._manager.item_metadata(step)["state"]
        expected = sorted(np.shape(leaf) for leaf in jax.tree.leaves(state))
        came = sorted(tuple(leaf.shape) for leaf in jax.tree.leaves(stored))
        if expected != came:
            raise CheckpointMismatchError(
                f"the checkpoint at {self.directory} holds {len(came)} arrays of shapes "
                f"{came[-3:]}, expected {len(expected)} of {expected[-3:]}; its settings "
                "differ: delete it or use another directory"
            )
