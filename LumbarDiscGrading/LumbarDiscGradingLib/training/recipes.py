"""Presets: every number that decides a training.

`default` is the best found, `refine` goes on from a trained model, `paper` follows the study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ..imaging.canvas import CANVAS_PIXEL_SIZE_MM
from ..imaging.crop import MaskUse
from .errors import TrainingError


@dataclass(frozen=True)
class SegmentationRecipe:
    """How a U-Net is trained.

    Attributes
    ----------
    base_width : int
        Channels of the U-Net's first step.
    tissues : bool
        True: vertebra, disc, canal and the lumbosacral landmark; False: disc alone, as in the study.
    patch_shape : tuple of int
        Rows and columns of the training patches in canvas pixels.
    pixel_size_mm : float
    batch_size, epochs : int
    steps_per_epoch : int
        0: each training case once.
    optimizer : {"adamw", "sgd"}
    learning_rate : float
        Peak of the one-cycle schedule (``adamw``), constant for ``sgd``.
    augment : bool
        Physics-minded augmentation (`augmentation`).
    self_training_epoch : int or None
        From this epoch on, cases without masks are trained on the network's own confident predictions.
    self_training_share : float
        Share of such cases in a batch.
    gentle_share : float
        Share of the patches that vary in geometry alone: true contours are learned on images as they were acquired.
    average_decay : float or None
        Decay per step of the moving average of the weights that is kept as the model; None keeps the last weights.
    fit_contour : bool
        After training, fit an offset on the disc's logit (`segmentation.contour_offset`).
    precision : str
        Lightning precision.
    """

    base_width: int = 16
    tissues: bool = True
    patch_shape: tuple[int, int] = (448, 256)
    pixel_size_mm: float = CANVAS_PIXEL_SIZE_MM
    batch_size: int = 6
    epochs: int = 24
    steps_per_epoch: int = 100
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    augment: bool = True
    self_training_epoch: int | None = 12
    self_training_share: float = 0.4
    gentle_share: float = 0.3
    average_decay: float | None = 0.995
    fit_contour: bool = True
    precision: str = "bf16-mixed"


@dataclass(frozen=True)
class LevelRecipe:
    """How a locator of levels is trained.

    Attributes
    ----------
    base_width : int
        Channels of its first step.
    views : int
        Variations of each picture, drawn once; each step varies them further.
    batch_size, steps : int
    learning_rate : float
        Peak of the one-cycle schedule.
    """

    base_width: int = 12
    views: int = 4
    batch_size: int = 12
    steps: int = 1600
    learning_rate: float = 3e-3


@dataclass(frozen=True)
class GradingRecipe:
    """How a SpineNet is trained.

    Attributes
    ----------
    mask_use : MaskUse
        Crop and mask side by side, multiplied (as in the study), or the crop alone, which the mask has placed.
    ordinal : bool
        True: five Pfirrmann grades, whose order the loss knows (`grading.train.ordinal_loss`); False: three groups.
    widths : tuple of int
        Channels of the stages.
    attention : bool
        Whether channels are weighted by attention.
    input_pooling : int
        Pixels that are averaged before the first stage: a crop's pixels are finer than any clinical image's.
    batch_size, epochs : int
    optimizer : str
    learning_rate : float
    augment : {"full", "paper"}
        ``paper``: rotation, flipping, Gaussian noise.
    split_by_patient : bool
        False: discs split at random, as in the study; patients then leak between the sets.
    label_smoothing : float
        Share of the target moved to the neighbouring grades (readers disagree by one grade).
    balance_sources : bool
        Draw data sets, and within them the grades, by the square root of their frequency
        (`grading.train.drawing_weights`).
    first_round_folds : int
        More than 0: before the training, each training disc is graded by a network that never saw its patient, in so
        many folds (`grading.cross_validation.first_round`).
    believed_share : float
        Share of a target that these gradings have; the rest is the reading.
    average_decay : float or None
        As in `SegmentationRecipe`.
    members : int
        Networks that are trained apart, each from a seed of its own, and averaged in one model.
    precision : str
    """

    mask_use: MaskUse = MaskUse.CHANNEL
    ordinal: bool = True
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    attention: bool = True
    input_pooling: int = 2
    batch_size: int = 32
    epochs: int = 30
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    augment: Literal["full", "paper"] = "full"
    split_by_patient: bool = True
    label_smoothing: float = 0.1
    balance_sources: bool = True
    first_round_folds: int = 3
    believed_share: float = 0.5
    average_decay: float | None = None
    members: int = 1
    precision: str = "bf16-mixed"


SEGMENTATION_PRESETS = {
    "default": SegmentationRecipe(),
    "refine": SegmentationRecipe(epochs=8, learning_rate=1e-3, self_training_epoch=0),
    "paper": SegmentationRecipe(
        base_width=64,
        tissues=False,
        patch_shape=(512, 512),
        batch_size=8,
        epochs=300,
        steps_per_epoch=0,
        optimizer="sgd",
        learning_rate=0.001,
        augment=False,
        self_training_epoch=None,
        average_decay=None,
        fit_contour=False,
        precision="32-true",
    ),
}
GRADING_PRESETS = {
    "default": GradingRecipe(),
    "refine": GradingRecipe(epochs=15, learning_rate=3e-4),
    "paper": GradingRecipe(
        mask_use=MaskUse.MULTIPLIED,
        ordinal=False,
        widths=(64, 128, 256, 512, 512),
        input_pooling=1,
        batch_size=8,
        epochs=300,
        optimizer="sgd",
        learning_rate=0.001,
        augment="paper",
        split_by_patient=False,
        label_smoothing=0.0,
        balance_sources=False,
        first_round_folds=0,
        precision="32-true",
    ),
}

PAPER_UNKNOWNS = (
    "the U-Net's channels (64 at the first step, as in its original paper, is taken)",
    "momentum and weight decay of SGD (0.9 and 0 are taken)",
    "the loss functions (Dice + cross-entropy, and cross-entropy, are taken)",
    "which convolutions of VGG11 were left out (one convolution a stage is taken)",
    "the strength of rotation and noise (as spread out as up to 15 degrees, and 5 % of the range, are taken)",
)
"""What the study does not say, and what is taken instead; printed when the preset ``paper`` runs."""


def recipe_settings(recipe: SegmentationRecipe | LevelRecipe | GradingRecipe) -> dict[str, Any]:
    """Return a recipe as JSON-ready data, for the metrics log and the model's manifest."""
    return {key: _as_json(value) for key, value in asdict(recipe).items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


Recipe = TypeVar("Recipe", bound=SegmentationRecipe | LevelRecipe | GradingRecipe)


def changed_recipe(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Return a recipe with settings changed as in ``name=value``; a setting that may be left out takes ``none``.

    Raises
    ------
    TrainingError
        If there is no such setting, or the value is not of its type.

    Examples
    --------
    >>> changed_recipe(GradingRecipe(), ["epochs=7", "widths=8,16", "attention=false"]).widths
    (8, 16)
    """
    kinds = get_type_hints(type(recipe))
    for change in changes:
        name, _, text = change.partition("=")
        if name not in kinds:
            raise TrainingError(f"The recipe has no setting {name!r}; it has {', '.join(kinds)}.")
        try:
            value = _value_of(text, kinds[name])
        except (ValueError, KeyError):
            raise TrainingError(f"{text!r} is no value for the setting {name!r}.") from None
        recipe = replace(recipe, **{name: value})
    return recipe


def _value_of(text: str, kind: Any) -> Any:
    """Read a value of a type as the recipes declare them: a plain type, a tuple of int, or one of these or None."""
    either = get_args(kind)
    if get_origin(kind) is Literal:
        return either[either.index(text)]
    if type(None) in either:
        return None if text.lower() == "none" else _value_of(text, either[0])
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    if get_origin(kind) is tuple:
        return tuple(int(part) for part in text.split(","))
    return kind(text)
