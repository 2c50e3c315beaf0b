import pytest

from bonito_assets.tuning.checkpoints import Checkpoints, Progress, place
from resources.store import Store


@pytest.fixture
def kept(tmp_path):
    found = Checkpoints(tmp_path, "key")
    found.latest()
    return found


def save(kept, step, seconds=1.0, whole=True):
    folder = kept.folder / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "weights").write_text("1")
    if whole:
        kept.declare_whole(Progress(step, seconds, (2,)))


def test_there_is_none_before_the_first(kept):
    assert kept.latest() == (None, Progress())


def test_the_last_whole_one_counts_and_says_how_far_it_is(kept):
    save(kept, 9, seconds=3.5)
    save(kept, 10, seconds=4.5)
    path, progress = kept.latest()
    assert path.name == "checkpoint-10"
    assert progress == Progress(10, 4.5, (2,))


def test_one_that_is_not_whole_is_deleted_and_does_not_count(kept):
    save(kept, 9)
    save(kept, 10, whole=False)
    assert kept.latest()[0].name == "checkpoint-9"
    assert not (kept.folder / "checkpoint-10").exists()


def test_only_the_last_takes_up_space(kept):
    for step in range(1, 5):
        save(kept, step)
    assert [path.name for path in kept.folder.iterdir()] == ["checkpoint-4"]


def test_those_of_other_keys_are_deleted(kept, tmp_path):
    save(kept, 9)
    other = Checkpoints(tmp_path, "other")
    assert other.latest() == (None, Progress())
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_unfinished_training_is_hidden_beside_what_is_published(tmp_path):
    store = Store(root=f"file://{tmp_path}")
    assert place(store, "tuned_model", "meadows") == tmp_path / "tuned_model/.checkpoints/meadows"
    assert place(store, "mixture_model") == tmp_path / ".checkpoints/mixture_model"


def test_a_root_elsewhere_keeps_unfinished_training_on_this_machine():
    found = place(Store(root="memory://somewhere"), "tuned_model", "meadows")
    assert found.is_absolute()
    assert found.parts[-3:] == ("tuned_model", ".checkpoints", "meadows")
