"""The folder of a training run: its last checkpoint and its metrics, which a resumed run adds to."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

LAST_CHECKPOINT = "last"


class RunFolder:
    """Checkpoint and metrics of a run.

    Parameters
    ----------
    folder : Path
    resume : bool
        Go on from the last finished epoch, if there is one.
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder
        path = folder / f"{LAST_CHECKPOINT}.ckpt"
        self.checkpoint = path if resume and path.exists() else None

    def checkpoint_callback(self) -> ModelCheckpoint:
        """Return the callback that keeps the last epoch's checkpoint."""
        return ModelCheckpoint(self.folder, filename=LAST_CHECKPOINT, enable_version_counter=False)

    def logger(self) -> CSVLogger:
        """Return the logger; a resumed run writes to a folder of its own, so nothing logged before is lost."""
        if self.checkpoint is None:
            return CSVLogger(self.folder, name="", version="metrics")
        number = 1
        while (self.folder / f"metrics-resumed-{number}").exists():
            number += 1
        return CSVLogger(self.folder, name="", version=f"metrics-resumed-{number}")
