"""Fixtures that more than one test file uses."""
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real corpora and models beside the repository, where there is one."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs real corpora and models in {SHARED}")
    return SHARED
