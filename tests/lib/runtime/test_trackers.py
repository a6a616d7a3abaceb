"""Trackers: what they are told of a run, one run there for one folder here, and errors that end nothing."""

import sys
import types

import pytest
from conftest import small_config, trained

from experiments import registry
from lib.errors import ConfigError
from lib.runtime import trackers
from lib.runtime.run_folder import RunFolder


@pytest.fixture
def trackio(monkeypatch):
    """Puts a module with W&B's interface in the place of trackio; it keeps what it is told in `calls`."""
    module = types.ModuleType("trackio")
    module.calls, module.fails = [], False

    def call(name):
        def told(*args, **kwargs):
            module.calls.append((name, args, kwargs))
            if module.fails and name == "log":
                raise OSError("no space")
            return types.SimpleNamespace(log=call("log"), finish=call("finish"))

        return told

    module.init = call("init")
    module.Image = lambda path: ("image", path)
    monkeypatch.setitem(sys.modules, "trackio", module)
    return module


TRACKED = ("trackers=('trackio',)",)


def begun(module) -> list[dict]:
    return [kwargs for name, _, kwargs in module.calls if name == "init"]


def test_a_tracker_gets_config_metrics_and_pictures(make, trackio):
    trained(make("gan/ring8", *TRACKED))
    assert [name for name, *_ in trackio.calls][:1] == ["init"]
    assert [name for name, *_ in trackio.calls][-1:] == ["finish"]
    (start,) = begun(trackio)
    assert start["config"]["batch_size"] == 8 and start["config"]["gan.num_latents"] == 32
    logged = {}
    for name, args, kwargs in trackio.calls:
        if name == "log":
            logged.setdefault(kwargs["step"], {}).update(args[0])
    assert sorted(logged) == [0, 1, 2, 3, 4]
    assert logged[4]["train/disc_loss"] > 0 and "eval/captured_modes" in logged[4]
    kind, path = logged[4]["pictures/samples"]
    assert kind == "image" and path.endswith("samples_0000004.png")


def test_a_resumed_run_is_the_same_run_there(make, trackio):
    trained(make("classifier/digits", *TRACKED))
    trained(make("classifier/digits", *TRACKED, "num_steps=6"))
    trained(make("classifier/digits", *TRACKED, workdir="another"))
    first, second, other = begun(trackio)
    assert first["name"] == second["name"] != other["name"]
    assert first["name"].startswith("run-") and first["resume"] == "allow"


def test_an_error_of_a_tracker_is_said_once_and_ends_nothing(make, trackio, capsys):
    trackio.fails = True
    assert trained(make("classifier/digits", *TRACKED)) is not None
    printed = capsys.readouterr().out
    assert printed.count("note: trackio takes nothing more (OSError: no space); the run goes on") == 1
    assert [name for name, *_ in trackio.calls] == ["init", "log"]


def test_a_tracker_that_is_not_installed_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    raw = small_config("classifier/digits", *TRACKED)
    with pytest.raises(ConfigError, match="config.trackers: 'trackio' is not installed; .* install "):
        registry.check_inputs(raw, registry.validated(raw), RunFolder(tmp_path / "run"))


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ConfigError, match="config.trackers.*trackoi.*did you mean 'trackio'"):
        registry.validated(small_config("classifier/digits", "trackers=('trackoi',)"))


def test_nothing_is_kept_without_trackers(tmp_path):
    assert trackers.begin((), tmp_path, {}) == []
    assert not list(tmp_path.iterdir())
