"""The `classifier` section of the config; configs/classifier/base.py says what each field means."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from lib.config import Section
from lib.data.normalization import Normalization
from lib.nets.mlp import ACTIVATIONS
from lib.schema import Optimizer, Run

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class MLP(Section):
    hidden: tuple[PositiveInt, ...]
    activation: Literal[tuple(ACTIVATIONS)]


class CNN(Section):
    channels: tuple[PositiveInt, ...]
    hidden: PositiveInt
    dropout: Rate


class VGG(Section):
    hidden: tuple[PositiveInt, ...]
    dropout: Rate
    batch_norm: bool


class WideResNet(Section):
    depth: PositiveInt
    width: PositiveInt
    dropout: Rate

    @pydantic.model_validator(mode="after")
    def _whole_blocks(self):
        _check_depth(self.depth, 6, "config.classifier.wide_resnet.depth")
        return self


class DenseNet(Section):
    depth: PositiveInt
    growth: PositiveInt
    bottleneck: bool

    @pydantic.model_validator(mode="after")
    def _whole_layers(self):
        _check_depth(self.depth, 6 if self.bottleneck else 3, "config.classifier.densenet.depth")
        return self


def _check_depth(depth: int, unit: int, field: str) -> None:
    """Depths are unit * n + 4."""
    if depth < unit + 4 or (depth - 4) % unit:
        below = max((depth - 4) // unit, 1) * unit + 4
        raise ValueError(f"{field}: {depth} is not {unit} n + 4; use {below} or {below + unit}")


class Augmentation(Section):
    crop_padding: NonNegativeInt
    flip: bool


class ClassifierSection(Section):
    model: str
    mlp: MLP
    cnn: CNN
    vgg: VGG
    wide_resnet: WideResNet
    densenet: DenseNet
    normalization: Normalization
    augmentation: Augmentation
    label_smoothing: Rate
    l2: NonNegativeFloat
    optimizer: Optimizer


class ClassifierConfig(Run):
    classifier: ClassifierSection
