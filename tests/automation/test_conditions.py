"""What is made again by itself, and what is left alone: on real runs of the project's graph."""

import pytest

from tests.automation.platform import CHAIN, MODEL, below, of_corpora, opened

DATASET = "instruction_dataset"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("platform")) as made:
        made.write("a")
        made.write("b")
        yield made


@pytest.fixture
def settled(shared):
    """Gives a platform at rest with the corpora `a` and `b`, refreshed, and those of other tests.

    It is one for all tests, since making it takes seconds; each leaves it working.
    """
    shared.settle(8)
    assert shared.settle(1) == []
    yield shared
    shared.failing.clear()
    shared.failing_checks.clear()


def test_a_new_corpus_is_one_run_for_the_whole_chain(settled):
    settled.write("new")
    assert of_corpora(settled.settle()) == [("new", CHAIN)]


def test_a_changed_key_renews_what_reads_it_and_what_lies_below(settled):
    keys = {}
    settled.write("keyed")
    settled.settle()
    for first, change in (
        ("curated_tasks", {"curation": {"thresholds": {"mean_logprob": {"min": -1.2}}}}),
        ("chunks", {"chunking": {"max_chars": 500}}),
        ("generations", {"sampling": {"temperature": 0.9}}),
        ("tasks", {"parsing": {"mode": "upstream"}}),
        ("round_trips", {"curation": {"round_trip": {"min_agreement": 0.4}}}),
        (DATASET, {"license": "cc-by-4.0"}),
        ("tuned_model", {"tuning": {"epochs": 2}}),
        ("documents", {"limits": {"seconds": 5}}),
    ):
        keys |= change
        settled.write("keyed", **keys)
        runs = of_corpora(settled.settle(1))
        assert runs == [("keyed", below(first))], f"after {change}"
        settled.settle(1)  # the mixture takes in what the licence changed


def test_a_changed_key_shows_as_stale_until_it_is_renewed(settled):
    settled.write("a", curation={"max_per_document": 3})
    settled.watch()
    assert settled.stale("a") == {"curated_tasks": "curation_settings"}
    assert settled.stale("b") == {}
    settled.run("a", below("curated_tasks"))
    assert settled.stale("a") == {}


def test_a_key_that_no_stage_reads_starts_nothing(settled):
    settled.write("b", refresh="0 3 * * *")
    assert settled.settle(2) == []


def test_a_changed_source_renews_everything_of_its_corpus(settled):
    (settled.folder.parent / "a.txt").write_text("Another text altogether.")
    assert of_corpora(settled.settle(1)) == [("a", CHAIN)]
    assert of_corpora(settled.settle(2)) == []


def test_a_changed_test_set_renews_curation_and_evaluation(settled):
    test = settled.folder.parent / "test.jsonl"
    test.write_text("{}")
    settled.write("b", evaluation={"test": str(test)})
    settled.settle()
    test.write_text("{ }")
    assert of_corpora(settled.settle(1)) == [("b", below("curated_tasks"))]


def test_another_model_renews_passages_and_generations_of_every_corpus(settled, monkeypatch):
    monkeypatch.setenv("BONITO_MODEL", "owner/other")
    settled.versions[MODEL, None] = "2"
    started = settled.settle()
    assert started[0] == (None, [MODEL])
    runs = of_corpora(started)
    assert all(assets == below("chunks") for _, assets in runs)
    assert {"a", "b"} <= {corpus for corpus, _ in runs}


def test_another_name_for_the_same_model_renews_nothing_else(settled, monkeypatch):
    monkeypatch.setenv("BONITO_MODEL", "owner/same")
    assert settled.settle() == [(None, [MODEL])]


def test_another_base_model_tunes_every_corpus_again(settled, monkeypatch):
    monkeypatch.setenv("BONITO_BASE_MODEL", "owner/other")
    runs = of_corpora(settled.settle())
    assert {"a", "b"} <= {corpus for corpus, assets in runs if "tuned_model" in assets}
    assert all("generations" not in assets for _, assets in runs)


def test_a_refresh_in_which_nothing_changed_starts_nothing(settled):
    settled.run("a", [MODEL, *CHAIN])
    assert settled.settle(2) == []


def test_a_corpus_that_fails_is_not_asked_for_again_and_stops_no_other(settled):
    settled.failing.add(("generations", "broken"))
    settled.write("broken")
    settled.write("whole")
    started = of_corpora(settled.settle(5) + settled.settle(2))
    assert sorted(started) == [("broken", CHAIN), ("whole", CHAIN)]


def test_a_corpus_that_failed_is_tried_again_when_its_settings_change(settled):
    settled.failing.add(("generations", "mended"))
    settled.write("mended")
    settled.settle()
    settled.failing.clear()
    settled.write("mended", sampling={"temperature": 0.1})
    assert of_corpora(settled.settle()) == [("mended", below("generations"))]


def test_a_blocking_check_that_failed_stops_what_lies_below_in_later_runs_too(settled):
    settled.failing_checks.add(("documents", "a"))
    settled.versions["documents", "a"] = "2"
    settled.run("a", ["documents"])
    assert of_corpora(settled.settle()) == []
    settled.failing_checks.clear()
    settled.run("a", ["documents"])
    assert of_corpora(settled.settle()) == [("a", below("chunks"))]


def test_the_mixture_is_renewed_when_a_dataset_changed_and_only_then(settled):
    settled.versions[DATASET, "a"] = "2"
    settled.run("a", CHAIN)
    assert settled.settle(2) == [(None, ["instruction_mixture"])]


def test_the_mixture_does_not_wait_for_a_corpus_without_a_dataset(settled):
    settled.failing.add(("documents", "empty"))
    settled.write("empty")
    settled.settle()
    settled.versions[DATASET, "a"] = "3"
    settled.run("a", CHAIN)
    assert (None, ["instruction_mixture"]) in settled.settle(2)


def test_a_model_is_trained_on_the_mixture_by_hand_only(settled):
    settled.versions["instruction_mixture", None] = "2"
    settled.run("a", ["instruction_mixture"])
    assert settled.settle(2) == []
