"""A scoring network that is trained in a second, for all tests of the evaluator."""

import pytest

from experiments import catalogue
from lib.runtime import cache

CLASSIFIER = """
from configs.classifier import digits
from configs.common import named

def get_config():
    config = digits.get_config()
    config.num_steps = config.checkpoint_every = 200
    config.eval_every = 0
    config.classifier.model = named("mlp", hidden=(32,))
    return config
"""


@pytest.fixture(scope="module")
def scoring_network(tmp_path_factory):
    """Puts a small classifier in the place of classifier/digits; returns the cache that will have it."""
    root = tmp_path_factory.mktemp("scoring_network")
    (root / "cache").mkdir()
    (root / "cache" / "xla").symlink_to(cache.cache_dir() / "xla")
    (root / "configs" / "classifier").mkdir(parents=True)
    (root / "configs" / "classifier" / "digits.py").write_text(CLASSIFIER)
    (root / "configs" / "classifier" / "base.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIENT_DYNAMICS_CACHE", str(root / "cache"))
        patch.setattr(catalogue, "CONFIGS", root / "configs")
        yield root / "cache" / "networks"
    cache.use_compilation_cache()
