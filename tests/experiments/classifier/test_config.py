"""Configs of runs that are older than `classifier.model.kwargs`."""

import copy

import pytest
from conftest import small_config

from experiments import registry
from experiments.classifier import ClassifierConfig
from lib.config import differences, to_plain
from lib.runtime.run_folder import RunFolder
from lib.schema import MAY_DIFFER

OLDER_SECTIONS = {
    "mlp": {"hidden": (1000, 1000), "activation": "relu"},
    "cnn": {"channels": (32, 64), "hidden": 128, "dropout": 0.25},
    "vgg": {"hidden": (512, 512), "dropout": 0.5, "batch_norm": True},
    "wide_resnet": {"depth": 40, "width": 4, "dropout": 0.0},
    "densenet": {"depth": 40, "growth": 40, "bottleneck": True},
}


def older(config, **changed) -> dict:
    """Returns a config in the form that had a section of each model, some of their options changed."""
    plain = to_plain(config)
    section = plain["classifier"] | copy.deepcopy(OLDER_SECTIONS)
    section["model"] = section["model"]["name"]
    for name, options in changed.items():
        section[name] |= options
    for younger in ("averages", "diagnostics"):
        del section[younger]
    return plain | {"classifier": section}


@pytest.mark.parametrize(
    "name, changed",
    [
        ("classifier/digits", {}),
        ("classifier/mnist_logreg", {}),
        ("classifier/cifar10", {"cnn": {"channels": (32, 64, 128)}}),
        ("classifier/digits_edge", {"mlp": {"hidden": (64,) * 6, "activation": "tanh"}}),
        ("classifier/cifar10_vgg", {"mlp": {"hidden": (3,)}}),
        ("classifier/cifar10_resnet_dal", {}),
        ("classifier/svhn_wrn", {"wide_resnet": {"depth": 16, "dropout": 0.4}}),
        ("classifier/cifar10_densenet", {}),
    ],
)
def test_a_run_with_a_section_of_each_model_has_the_config_of_today(name, changed, tmp_path):
    config = small_config(name)
    folder = RunFolder(tmp_path)
    folder.write_config(older(config, **changed))
    own = registry.own_config(folder)
    assert differences(own, config, MAY_DIFFER) == []
    as_before = {"diagnostics": ()}
    expected = registry.validated(config).classifier.model_copy(update=as_before)
    assert registry.validated(own).classifier == expected


def test_options_that_were_not_the_defaults_are_kept():
    changed = {"hidden": (5,), "activation": "tanh"}
    config = older(small_config("classifier/mnist_mlp"), mlp=changed)
    before = copy.deepcopy(config)
    upgraded = ClassifierConfig.upgraded(config)
    assert upgraded["classifier"]["model"] == {"name": "mlp", "kwargs": changed}
    assert not OLDER_SECTIONS.keys() & upgraded["classifier"].keys()
    assert config == before
    assert ClassifierConfig.upgraded(upgraded) == upgraded
