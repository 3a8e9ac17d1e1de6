"""Trainings to test with: networks so small that they cost seconds."""

from __future__ import annotations

from dataclasses import replace

from LumbarDiscGradingLib.training import recipes

TINY = replace(
    recipes.SEGMENTATION_PRESETS["default"],
    base_width=4,
    patch_shape=(128, 96),
    batch_size=2,
    epochs=1,
    steps_per_epoch=2,
    self_training_epoch=None,
    precision="32-true",
)
