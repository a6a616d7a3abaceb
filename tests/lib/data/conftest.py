"""An empty cache for every test of sets, and no TFDS folder but those that a test names."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Returns the cache's folder, which is made when something is kept there."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(folder))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    return folder
