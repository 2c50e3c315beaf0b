"""Two releases differ in rows, and each that came or went says why."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from bonito_assets import tables
from bonito_assets.identity import digest
from bonito_assets.publishing.difference import REASONS, DiffError, difference
from bonito_assets.publishing.publish import DATASET
from bonito_assets.publishing.split import VALIDATION_SHARE, place
from bonito_assets.publishing.terminal import meaning, show_difference
from tests.publishing.made import CORPUS, letters, put, release, row

pytestmark = pytest.mark.usefixtures("rows_alone")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def two_releases(store, corpus, old, new, **of_new):
    put(store, old)
    release(store, corpus)
    put(store, new, **of_new)
    release(store, corpus)


def diff(store, old=None, new=None, most_rows=100):
    return difference(store, DATASET, CORPUS, old, new, most_rows)


def reasons(found):
    counts = {}
    for entry in found.counts:
        key = entry["change"], entry["reason"]
        counts[key] = counts.get(key, 0) + entry["rows"]
    return counts


def test_a_document_that_came_and_one_that_went(store, corpus):
    old, new = letters(10), letters(11)
    del new["3.txt"]
    two_releases(store, corpus, old, new)
    found = diff(store)
    assert reasons(found) == {("added", "document_new"): 2, ("removed", "document_gone"): 2}
    assert (found.old["rows"], found.new["rows"]) == (20, 20)


@pytest.mark.parametrize("verdict", ["near_duplicate", "low_quality", "over_represented"])
def test_a_row_that_curation_refuses_now_gives_the_verdict(store, corpus, verdict):
    old, new = letters(10), letters(10)
    new["3.txt"][0]["rejected_because"] = verdict
    two_releases(store, corpus, old, new)
    assert reasons(diff(store)) == {("removed", verdict): 1}


def test_a_row_that_was_refused_before_is_accepted_now(store, corpus):
    old, new = letters(10), letters(10)
    old["3.txt"][0]["rejected_because"] = "near_duplicate"
    two_releases(store, corpus, old, new)
    assert reasons(diff(store)) == {("added", "accepted_now"): 1}


def test_a_row_written_after_the_old_release_says_so(store, corpus):
    old, new = letters(10), letters(10)
    new["3.txt"].append(row("Was the mast of oak?"))
    two_releases(store, corpus, old, new, written=LATER)
    assert reasons(diff(store)) == {("added", "generated_since"): 1}


def test_another_model_makes_every_row_anew(store, corpus):
    two_releases(store, corpus, letters(10), letters(10), model="other@1", written=LATER)
    assert reasons(diff(store)) == {
        ("added", "generated_since"): 20,
        ("removed", "generated_anew"): 20,
    }


def test_a_task_type_that_is_new_says_so_even_where_its_outputs_are_older(store, corpus):
    old, new = letters(10), letters(10)
    new["3.txt"].append(row("What is told?", "The harbour", "exqa"))
    two_releases(store, corpus, old, new)
    assert reasons(diff(store)) == {("added", "task_type_new"): 1}


def test_a_task_type_that_is_no_longer_asked_for(store, corpus):
    old, new = letters(10), letters(10)
    old["3.txt"].append(row("What is told?", "The harbour", "exqa"))
    two_releases(store, corpus, old, new)
    assert reasons(diff(store)) == {("removed", "no_longer_asked_for"): 1}
    assert diff(store).counts[0]["task_type"] == "exqa"


def edit(store, table, change):
    rows = [new for row in store.read(table, CORPUS).to_pylist() if (new := change(row))]
    store.write(table, CORPUS, tables.build(table, rows))


def test_what_befell_document_or_passage_is_the_reason_of_its_rows(store, corpus):
    two_releases(store, corpus, letters(10), letters(10) | {f"{n}.txt": [] for n in range(4)})
    edit(
        store,
        "documents",
        lambda d: d | {"rejected_because": "unreadable" if d["uri"] == "0.txt" else None},
    )
    edit(store, "chunks", lambda c: None if c["uri"] == "1.txt" else c)
    edit(
        store,
        "chunks",
        lambda c: c | {"rejected_because": "boilerplate" if c["uri"] == "2.txt" else None},
    )
    found = reasons(diff(store))
    assert found["removed", "document: unreadable"] == 2
    assert found["removed", "passage_changed"] == 2
    assert found["removed", "passage: boilerplate"] == 2
    assert found["removed", "no_longer_asked_for"] == 2


def test_the_same_output_read_otherwise_is_a_change(store, corpus):
    old, new = letters(10), letters(10)
    new["3.txt"][0]["output"] = "Yes, it did"
    two_releases(store, corpus, old, new)
    assert reasons(diff(store)) == {("changed", "read_anew"): 1}


def test_a_document_that_changes_sides_moves_its_rows(store, corpus):
    # All of them lie beyond the border, so the first of them in order is held out, and a new one
    # that comes before it takes its place.
    first, *others = sorted(
        (name for name in letters(40) if place(digest(CORPUS, name))[0] > VALIDATION_SHARE),
        key=lambda name: place(digest(CORPUS, name)),
    )
    old = {name: letters(40)[name] for name in others}
    two_releases(store, corpus, old, old | {first: letters(40)[first]})
    assert reasons(diff(store)) == {
        ("added", "document_new"): 2,
        ("changed", "moved_to_other_split"): 2,
    }


def test_nothing_changed_between_a_release_and_itself(store, corpus):
    put(store, letters(4))
    version = release(store, corpus)[0].rows.version
    found = diff(store, version, version)
    assert found.counts == []
    assert found.as_json()["totals"] == {"added": 0, "removed": 0, "changed": 0}


def test_rows_are_shown_up_to_a_number_and_counted_beyond_it(store, corpus):
    old, new = letters(20), letters(20)
    for name in list(new)[:6]:
        new[name] = new[name][2:]
    two_releases(store, corpus, old, new)
    found = diff(store, most_rows=5)
    assert len([shown for shown in found.rows if shown["change"] == "removed"]) == 5
    assert found.total("removed") == 12
    assert all("Did ship" in shown["input"] for shown in found.rows)


def test_versions_may_be_abbreviated_and_the_default_is_the_last_two(store, corpus):
    versions = []
    for n in (4, 5, 6):
        put(store, letters(n))
        versions.append(release(store, corpus)[0].rows.version)
    assert (diff(store).old["version"], diff(store).new["version"]) == tuple(versions[1:])
    whole = diff(store, versions[0][:12])
    assert (whole.old["version"], whole.new["version"]) == (versions[0], versions[2])
    back = diff(store, versions[2], versions[0])
    assert reasons(back)["removed", "accepted_again_since"] == 4


def test_what_cannot_be_compared_names_the_releases_that_there_are(store, corpus):
    with pytest.raises(DiffError, match="no release yet"):
        diff(store)
    put(store, letters(4))
    version = release(store, corpus)[0].rows.version
    with pytest.raises(DiffError, match=f"only one release yet: {version}"):
        diff(store)
    with pytest.raises(DiffError, match=f"no release begins with 'zz'.*{version}"):
        diff(store, "zz")


def test_every_reason_that_is_no_verdict_is_explained(store, corpus):
    assert not set(REASONS) & set(tables.REJECTIONS)


def test_the_terminal_shows_counts_reasons_and_rows_without_what_could_steer_it(store, corpus):
    old, new = letters(10), letters(10)
    new["3.txt"][0]["rejected_because"] = "near_duplicate"
    new["4.txt"].append(row("[bold]Was \x1b[31mit red?", "No\x07"))
    two_releases(store, corpus, old, new, written=LATER)
    console = Console(file=io.StringIO(), width=140)
    show_difference(console, diff(store))
    shown = console.file.getvalue()
    assert "1 added, 1 removed, 0 changed" in shown
    assert tables.REJECTIONS["near_duplicate"][:40] in shown
    assert "[bold]Was [31mit red? -> No" in shown
    assert not set("\x1b\x07") & set(shown)


def test_a_reason_is_explained_by_its_own_sentence_or_that_of_its_verdict():
    assert meaning("document_gone") == REASONS["document_gone"]
    assert meaning("passage: boilerplate") == tables.REJECTIONS["boilerplate"]
