"""The folder of facts beside the project, with which tests compare the vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

FACTS = Path(__file__).parents[3] / "shared" / "facts"


@pytest.fixture(scope="session")
def facts() -> Path:
    if not FACTS.is_dir():
        pytest.skip(
            "the folder ../shared/facts, which the vocabulary is compared with, is not here"
        )
    return FACTS
