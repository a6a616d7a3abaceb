"""The `classifier` section of the config; configs/classifier/base.py says what each field means."""

from typing import Any

import pydantic
from pydantic import NonNegativeFloat, NonNegativeInt

from experiments.classifier.losses import LOSSES
from experiments.classifier.models import MODELS
from lib.config import Section
from lib.data.normalization import Normalization
from lib.errors import lookup
from lib.games.config import PLAYER, Alone, Observed
from lib.nets.options import choose
from lib.schema import Named, Run

# {model: the section that held its options in older configs, where each model had one}
_OLDER_SECTIONS = {
    "mlp": "mlp",
    "cnn": "cnn",
    "vgg16": "vgg",
    "wide_resnet": "wide_resnet",
    "densenet": "densenet",
}


class Augmentation(Section):
    crop_padding: NonNegativeInt
    flip: bool


class ClassifierSection(Alone):
    model: Named
    normalization: Normalization
    augmentation: Augmentation
    loss: Named
    l2: NonNegativeFloat
    microbatch: NonNegativeInt

    @pydantic.field_validator("loss")
    @classmethod
    def _loss_takes_its_arguments(cls, loss: Named) -> Named:
        choose(LOSSES, loss)
        return loss

    @pydantic.field_validator("model")
    @classmethod
    def _takes_its_arguments(cls, model: Named) -> Named:
        choose(MODELS, model)
        return model


class ClassifierConfig(Run):
    classifier: ClassifierSection

    @classmethod
    def upgraded(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Returns a config with the model's options beside its name, and with the younger fields."""
        section = dict(config["classifier"])
        options = {model: section.pop(older, {}) for model, older in _OLDER_SECTIONS.items()}
        name = section["model"]
        if isinstance(name, str):
            entry = lookup(MODELS, name, "config.classifier.model")
            kwargs = entry.options.without_defaults(options.get(name, {}))
            section["model"] = {"name": name, "kwargs": kwargs}
        if (smoothing := section.pop("label_smoothing", None)) is not None:
            kwargs = {"smoothing": smoothing} if smoothing else {}
            section["loss"] = {"name": "cross_entropy", "kwargs": kwargs}
        younger = {"microbatch": 0, **Observed.nothing((PLAYER,))}
        return {**config, "classifier": younger | section}
