"""The poems, loaded once for all chapters."""

import pytest

from nanopoet_ref.poem import load_poems, split_poems


@pytest.fixture(scope="session")
def all_poems():
    return load_poems()


@pytest.fixture(scope="session")
def halves(all_poems):
    """Poems to learn from, and poems to measure on."""
    return split_poems(all_poems)
