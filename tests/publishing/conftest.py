"""A store for the tables and releases of one test."""

import pytest

from resources.store import Store
from tests.publishing.made import catalogue_file


@pytest.fixture
def store(tmp_path, monkeypatch):
    # Nobody asks these tables by SQL from outside, and making the views anew takes longest.
    monkeypatch.setattr(Store, "refresh_warehouse", lambda _: None)
    return Store(root=str(tmp_path / "data"))


@pytest.fixture
def corpus(tmp_path):
    return catalogue_file(tmp_path)


@pytest.fixture
def rows_alone(monkeypatch):
    """Saves the seconds that plots and review page take, where it is not them that are tested."""
    from bonito_assets.publishing.review import page

    monkeypatch.setattr("bonito_assets.publishing.publish._write_plots", lambda *_: {})
    monkeypatch.setattr(page, "write_review", lambda path, *_: path.write_text("a page"))
