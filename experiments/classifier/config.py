"""The `classifier` section of the config; configs/classifier/base.py says what each field means."""

from typing import Annotated

from pydantic import Field, PositiveInt

from lib.config import Section
from lib.schema import Optimizer, Run


class CNN(Section):
    channels: tuple[PositiveInt, ...]
    hidden: PositiveInt
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]


class ClassifierSection(Section):
    cnn: CNN
    optimizer: Optimizer


class ClassifierConfig(Run):
    classifier: ClassifierSection
