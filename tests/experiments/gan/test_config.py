"""The networks of a GAN in configs of today, and of runs older than `gan.nets.kwargs`."""

import pytest
from conftest import small_config

from experiments import registry
from experiments.gan import GanConfig
from lib.config import differences, to_plain
from lib.errors import ConfigError
from lib.runtime.run_folder import RunFolder


def older(config, **mlp) -> dict:
    """Returns a config in the form that had the options of one pair of networks in a section of its own."""
    plain = to_plain(config)
    nets = {"nets": config.gan.nets.name, "mlp": {"num_layers": 2, "num_units": 25} | mlp}
    return plain | {"gan": plain["gan"] | nets}


@pytest.mark.parametrize(
    "name, overrides, mlp",
    [
        ("gan/digits", [], {}),
        ("gan/digits", [], {"num_units": 7}),
        ("gan/ring8", [], {}),
        ("gan/ring8", ["gan.nets.kwargs.num_units=7"], {"num_units": 7}),
    ],
)
def test_an_older_run_has_the_config_of_today(name, overrides, mlp, tmp_path):
    config = small_config(name, *overrides)
    folder = RunFolder(tmp_path)
    folder.write_config(older(config, **mlp))
    own = registry.own_config(folder)
    assert differences(own, config) == []
    assert registry.validated(own) == registry.validated(config)
    assert GanConfig.upgraded(to_plain(config)) == to_plain(config)


@pytest.mark.parametrize(
    "name, override, message",
    [
        ("gan/digits", "kwargs.num_units=3", "kwargs.num_units: 'digits' takes no arguments"),
        ("gan/ring8", "kwargs.num_unit=3", "kwargs.num_unit: unknown field; did you mean 'num_units'?"),
        ("gan/ring8", "kwargs.num_layers=0", "kwargs.num_layers: should be greater than 0, got 0"),
        ("gan/ring8", "name=mpl", "name: unknown name 'mpl'; did you mean 'mlp'?"),
    ],
)
def test_options_that_networks_do_not_take_are_refused(name, override, message):
    with pytest.raises(ConfigError) as error:
        registry.validated(small_config(name, f"gan.nets.{override}"))
    assert str(error.value).startswith(f"config.gan.nets.{message}")
