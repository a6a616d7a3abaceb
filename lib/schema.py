"""The sections that every config has. An experiment's config class adds its own section to `Run`."""

import math
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from lib.config import Section
from lib.errors import ConfigError

MOST_STEPS = 2**32 - 1  # steps are counted in 32 bits on the devices
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Scalar = bool | int | float | str | None


class Named(Section):
    """What a config chooses by name, with its keyword arguments: data, an optimiser, a model."""

    name: str
    kwargs: dict[str, Scalar | tuple[Scalar | tuple[Scalar, ...], ...]]


class DatasetSection(Named):
    """Which images, points or matrix, from where. See configs/common.py for what each field means."""

    data_dir: str
    train_split: str
    eval_split: str
    validation_size: NonNegativeInt
    validation_seed: Annotated[int, Field(ge=0, lt=2**63)]
    device_limit_gb: Annotated[float, Field(ge=0.0)]


class ScheduleSection(Named):
    """A factor on a learning rate, as a function of the number of updates."""


class OptimizerSection(Named):
    """An optimiser. See `optimizer` in configs/common.py for what each field means."""

    learning_rate: NonNegativeFloat  # 0 where the optimiser raises it from nothing: it is built to see that
    schedule: ScheduleSection
    clip_norm: NonNegativeFloat
    clip_value: NonNegativeFloat


class EvaluationSection(Section):
    """How the separate evaluator scores a checkpoint."""

    network: Literal["checkpoint", "vgg16", "alexnet", "inception", "saved_model"]
    network_path: str
    classifier: str
    num_samples: PositiveInt
    num_splits: PositiveInt
    kernel_samples: Annotated[int, Field(ge=2)]
    neighbours: PositiveInt
    batch_size: Annotated[int, Field(gt=0, le=100_000)]
    reference_split: str
    reference_statistics: str
    best_metric: str

    @pydantic.model_validator(mode="after")
    def _enough_in_a_split(self):
        # TF-GAN's kernel distance takes blocks of at most 1,024 of the larger set, each with 2 of the
        # smaller.
        least = 2 * math.ceil(self.kernel_samples / 1024)
        if self.num_samples < least * self.num_splits:
            raise ConfigError(
                f"{self.num_samples} samples make no {self.num_splits} splits of at least {least}; use "
                f"{least * self.num_splits} or more, or fewer config.eval.num_splits",
                "num_samples",
            )
        if rest := self.num_samples % self.num_splits:
            raise ConfigError(
                f"{self.num_samples} samples do not divide into {self.num_splits} splits; use "
                f"{self.num_samples + self.num_splits - rest}",
                "num_samples",
            )
        if self.neighbours >= (most := min(self.kernel_samples, self.num_samples // self.num_splits)):
            raise ConfigError(
                f"must be less than {most}, the images that are kept of a split (see kernel_samples)",
                "neighbours",
            )
        if self.reference_split and self.reference_statistics:
            raise ConfigError("this and reference_split name two references", "reference_statistics")
        return self


class Run(Section):
    """What the runtime reads: the fields that every experiment has."""

    experiment: str
    seed: NonNegativeInt
    num_steps: Annotated[int, Field(gt=0, le=MOST_STEPS)]
    num_epochs: NonNegativeFloat  # where it is above 0 it sets num_steps: lib/data/epochs.py
    batch_size: PositiveInt
    steps_per_dispatch: NonNegativeInt
    log_every: PositiveInt
    log_per_decade: Annotated[int, Field(ge=0, le=1000)]
    log_seconds: NonNegativeFloat
    checkpoint_seconds: NonNegativeFloat
    epoch_means: bool
    eval_every: NonNegativeInt
    figures_every: NonNegativeInt
    checkpoint_every: PositiveInt
    keep_checkpoints: PositiveInt
    stop_at: str
    trackers: tuple[Literal["trackio", "wandb"], ...]
    restore_path: str
    dataset: DatasetSection
    eval: EvaluationSection

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns the config of an older run in today's form; each experiment says what changed."""
        return config

    @property
    def batches_per_step(self) -> int:
        """Returns how many batches a step of the experiment takes."""
        return 1

    @property
    def counts_epochs(self) -> bool:
        """Tells whether anything of the run depends on where epochs end."""
        return bool(self.num_epochs) or self.epoch_means

    def check_training(self) -> None:
        """Checks what matters to a run that is yet to be trained, and not to one that is read.

        Raises:
          ConfigError: an experiment cannot be trained so.
        """

    @pydantic.field_validator("seed")
    @classmethod
    def _fits_a_key(cls, seed: int) -> int:
        if seed >= 2**32:
            raise ConfigError(f"{seed} is too large; use one below 2**32")
        return seed


# A run may be continued, or evaluated, with other values of these.
MAY_DIFFER = (
    "num_steps",
    "num_epochs",
    "log_every",
    "log_per_decade",
    "log_seconds",
    "checkpoint_seconds",
    "epoch_means",
    "eval_every",
    "figures_every",
    "checkpoint_every",
    "keep_checkpoints",
    "stop_at",
    "trackers",
    "restore_path",
    "*.diagnostics",
    "dataset.eval_split",
    "dataset.data_dir",
    "dataset.kwargs.vectors",
    "dataset.device_limit_gb",
    "eval",
)
