"""A catalogue file becomes a refreshed corpus: sensors and conditions together, on real runs."""

from tests.automation.platform import CHAIN, MODEL, of_corpora, opened


def test_the_first_corpus_of_all_waits_for_the_model_and_is_complete(tmp_path):
    with opened(tmp_path) as platform:
        platform.write("a")
        started = platform.settle(6)
        stale = platform.stale("a")
    assert started[0] == (None, [MODEL])
    asked = [name for _, assets in of_corpora(started) for name in assets]
    assert sorted(asked, key=CHAIN.index) == CHAIN
    assert (None, ["instruction_mixture"]) in started
    assert stale == {}
