"""The review page shows a fair sample with all its sources, and nothing in it comes to life."""

import base64
import hashlib
import html
import itertools
import json
import re
import shutil
import subprocess
import unicodedata

import hypothesis.strategies as st
import lxml.html
import pytest
from hypothesis import given

from bonito_assets import tables
from bonito_assets.identity import digest
from bonito_assets.publishing.plots import funnel_plot, label_plot, task_type_plot
from bonito_assets.publishing.review.figures import (
    Bar,
    histogram,
    length_bars,
    lengths,
    logprob_bars,
)
from bonito_assets.publishing.review.markup import embedded, text
from bonito_assets.publishing.review.page import write_review
from bonito_assets.publishing.review.sample import (
    Sample,
    after_passage,
    before_passage,
    pieces,
    places,
    stretch,
)
from resources.store import TableMissing
from tests.publishing.made import CORPUS, catalogue_file, letters, put, row

HOSTILE = (
    "</script><script>document.title='taken'</script><!-- <img src=x onerror=\"document.title="
    "'taken'\"> "
    "\u202egnp.exe\u202c nul:\x00 line:\u2028para:\u2029 tag:\U000e0041 '&amp;' \U0001f600"
)
UNSEEN = ("\u202e", "\u202c", "\x00", "\u2028", "\u2029", "\U000e0041")
COUNTS = st.dictionaries(
    st.sampled_from([None, *tables.REJECTIONS]), st.integers(0, 10**7), max_size=12
)
_BROWSERS = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
CHROMIUM = next(filter(None, _BROWSERS), None)


def parsed(page):
    return lxml.html.document_fromstring(page, parser=lxml.html.HTMLParser(encoding="utf-8"))


def shown(store, corpus, tmp_path, version="v1", splits=None):
    """Gives the page as a parsed document, and the rows in it."""
    path = tmp_path / f"review-{version}.html"
    write_review(path, store, corpus, version, splits or {"train": 9, "validation": 1})
    page = parsed(path.read_bytes())
    return page, json.loads(page.get_element_by_id("data").text)


def put_document(store, document, start, end, *rows):
    """Writes one document of which one passage has `rows`; gives nothing."""
    doc_id, name = digest("doc"), "c"
    chunk = {"corpus": name, "chunk_id": digest("chunk"), "doc_id": doc_id, "uri": "a.txt",
             "position": 0, "start_char": start, "end_char": end, "text": document[start:end],
             "n_tokens": 1, "units": ["paragraph"],
             "heading_path": ["Part", "Chapter"]}  # fmt: skip
    entries = [
        {"corpus": name, "doc_id": doc_id, "chunk_id": chunk["chunk_id"], "sample": 0,
         "generation_id": digest(i), "request_key": digest(i), "model": "m@1", **entry}
        for i, entry in enumerate(rows)
    ]  # fmt: skip
    made = {
        "documents": [{"corpus": name, "doc_id": doc_id, "uri": "a.txt", "title": "A title",
                       "text": document}],
        "chunks": [chunk],
        "generations": [
            {**e, "output": e.get("written", "x"), "rejected_because": None} for e in entries
        ],
        "tasks": entries,
        "curated_tasks": entries,
    }  # fmt: skip
    for table, content in made.items():
        names = tables.SCHEMAS[table].names
        store.write(
            table, name, tables.build(table, [{n: e.get(n) for n in names} for e in content])
        )


# Which rows


@given(COUNTS, st.integers(0, 120))
def test_no_more_rows_than_there_are_and_no_fewer_than_there_is_room_for(counts, most):
    chosen = places(counts, most)
    assert all(chosen.count(verdict) <= counts[verdict] for verdict in set(chosen))
    unwritten = {"invalid_text", "too_long", "engine_error", "over_budget"}
    there = sum(min(n, 1) if verdict in unwritten else n for verdict, n in counts.items())
    assert len(chosen) == min(most, there)


@given(COUNTS)
def test_every_verdict_has_a_row_among_a_hundred(counts):
    assert set(places(counts, 100)) == {verdict for verdict, n in counts.items() if n}


@given(COUNTS, st.integers(0, 100))
def test_the_beginning_of_a_sample_is_the_sample_of_that_size(counts, most):
    assert places(counts, most) == places(counts, 100)[:most]


def test_three_of_five_rows_are_kept_ones_where_there_are_enough_of_both():
    chosen = places({None: 500, "truncated": 500}, 100)
    assert chosen.count(None) == 60
    assert places({None: 500, "truncated": 7}, 100).count(None) == 93
    assert places({None: 7, "truncated": 500}, 100).count(None) == 7


def test_a_common_verdict_has_more_rows_than_a_rare_one_but_not_all():
    chosen = places({None: 1000, "truncated": 900, "no_pipe": 9}, 100)
    assert chosen.count("truncated") > chosen.count("no_pipe") >= 3


def test_what_was_never_generated_takes_one_place():
    assert places({"over_budget": 90_000, "truncated": 5}, 100).count("over_budget") == 1


def test_the_version_alone_decides_which_rows_are_shown(store, corpus, tmp_path):
    put(store, letters(80, kept=2, refused=2))
    _, one = shown(store, corpus, tmp_path, "v1")
    _, two = shown(store, corpus, tmp_path, "v2")
    again = (tmp_path / "review-v1.html").read_bytes()
    shown(store, corpus, tmp_path, "v1")
    assert (tmp_path / "review-v1.html").read_bytes() == again
    assert len(one["rows"]) == len(two["rows"]) == 100
    assert {r["id"] for r in one["rows"]} != {r["id"] for r in two["rows"]}


def test_the_order_of_rows_tells_nothing_of_their_verdict(store, corpus, tmp_path):
    put(store, letters(80, kept=2, refused=2))
    _, data = shown(store, corpus, tmp_path)
    verdicts = [r["verdict"] for r in data["rows"]]
    changes = sum(a != b for a, b in itertools.pairwise(verdicts))
    assert changes > 25


def test_where_there_is_no_room_the_task_types_give_way_evenly(store):
    put(store, {
        f"{n}.txt": [row(f"Is it {n}? {'x' * 500}", task_type=t) for t in ("ynqa", "nli", "qa")]
        for n in range(40)
    })  # fmt: skip
    with store.reader() as connection:
        rows, passages = Sample(connection, CORPUS, "v1").rows(40_000)
    counts = [sum(r["task_type"] == t for r in rows) for t in ("ynqa", "nli", "qa")]
    assert max(counts) - min(counts) <= 1
    assert 0 < sum(counts) < 120
    assert len(embedded(rows)) + len(embedded(passages)) < 41_000
    assert set(passages) == {r["chunk_id"] for r in rows}


# What is known of a row


def test_a_row_comes_with_its_passage_and_where_that_stands(store, tmp_path):
    document = "First words. The rent is 900 euros a month. Last words."
    passage = document[13:43]
    put_document(store, document, 13, 43, {
        "task_type": "exqa", "input": f"Read:\n{passage}\nWhat is the rent?",
        "output": "900 Euros", "mean_logprob": -0.25,
    })  # fmt: skip
    _, data = shown(store, catalogue_file(tmp_path, "c"), tmp_path)
    (only,) = data["rows"]
    assert only["instruction"] == ["Read:\n", "\nWhat is the rent?"]
    assert only["scores"] == {"mean_logprob": -0.25}
    found = data["passages"][only["chunk_id"]]
    assert (found["before"], found["text"], found["after"]) == (
        "First words. ", "The rent is 900 euros a month.", " Last words.",
    )  # fmt: skip
    assert (found["title"], found["uri"], found["start"], found["end"]) == (
        "A title", "a.txt", 13, 43,
    )  # fmt: skip
    assert found["headings"] == ["Part", "Chapter"]
    assert found["text"][slice(*only["found"])] == "900 euros"


def test_a_duplicate_comes_with_the_row_that_was_kept_in_its_place(store, tmp_path):
    put_document(
        store, "A passage.", 0, 10,
        {"task_type": "qa", "input": "Why so?", "output": "Because."},
        {"task_type": "qa", "input": "why so?", "output": "because.",
         "rejected_because": "exact_duplicate", "duplicate_of": digest(0)},
    )  # fmt: skip
    _, data = shown(store, catalogue_file(tmp_path, "c"), tmp_path)
    duplicate = next(r for r in data["rows"] if r["verdict"])
    assert duplicate["kept"]["id"] == digest(0)
    assert duplicate["kept"]["instruction"] == ["Why so?"]
    assert data["meanings"] == {"exact_duplicate": tables.REJECTIONS["exact_duplicate"]}


def test_an_output_that_could_not_be_read_is_shown_as_it_was_written(store, tmp_path):
    put_document(
        store, "A passage.", 0, 10,
        {"task_type": "qa", "written": "no mark in it", "rejected_because": "no_pipe"},
        {"task_type": "qa", "written": None, "rejected_because": "over_budget"},
    )  # fmt: skip
    _, data = shown(store, catalogue_file(tmp_path, "c"), tmp_path)
    by_verdict = {r["verdict"]: r for r in data["rows"]}
    assert by_verdict["no_pipe"]["written"] == "no mark in it"
    assert "written" not in by_verdict["over_budget"]


def test_around_a_passage_nothing_is_shown_where_personal_data_is_rejected(store, tmp_path):
    put_document(store, "Call 555-0100. A passage. End.", 15, 25, {"task_type": "qa"})
    corpus = catalogue_file(tmp_path, "c", pii="reject")
    _, data = shown(store, corpus, tmp_path)
    (passage,) = data["passages"].values()
    assert (passage["before"], passage["after"]) == ("", "")
    assert "555-0100" not in (tmp_path / "review-v1.html").read_text()


def test_a_score_that_is_no_number_is_left_out(store, tmp_path):
    put_document(store, "A passage.", 0, 10, {"task_type": "qa", "mean_logprob": float("nan")})
    _, data = shown(store, catalogue_file(tmp_path, "c"), tmp_path)
    assert data["rows"][0]["scores"] == {}


@given(st.lists(st.text("ab \n", max_size=8), min_size=1, max_size=3))
def test_the_pieces_of_a_text_are_what_stands_around_the_passage(around):
    passage = "The tenant pays the rent on the first day."
    assert passage.join(pieces(passage.join(around), f" {passage}\n")) == passage.join(around)
    assert len(pieces(passage.join(around), passage)) == len(around)


def test_a_passage_of_a_word_is_not_taken_out_of_an_instruction():
    assert pieces("Is it so? It is.", "It") == ["Is it so? It is."]
    assert pieces(None, "It") is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [("900 euros", "900  Euros"), ("900 euros.", "900  Euros"), ("euro", None), ("9", None),
     ("The rent is 900  Euros (net).", None), ("(net)", "(net)"), (" . ", None)],
)  # fmt: skip
def test_an_answer_is_found_as_whole_words_case_and_white_space_aside(answer, found):
    passage = "The rent is 900  Euros (net)."
    place = stretch(answer, passage)
    assert (passage[slice(*place)] if place else None) == found


def test_where_the_text_around_is_cut_it_is_cut_between_words():
    assert before_passage("short of the limit ") == "short of the limit "
    long = "ord and " + "others " * 30
    assert before_passage(long) == f"… {long[4:]}"
    assert after_passage(("others " * 30) + "and a wo").endswith("others and a …")
    unspaced = "字" * 200
    assert before_passage(unspaced) == f"… {unspaced}"


# Nothing from the corpus comes to life


@given(st.text())
def test_text_is_one_text_node_and_an_attribute_is_one_value(value):
    parsed = lxml.html.fragment_fromstring(f'<p title="{text(value)}">{text(value)}</p>')
    assert len(parsed) == 0
    assert list(parsed.attrib) == ["title"]
    assert (parsed.text or "") == html.unescape(text(value))
    unseen = {"Cc", "Zl", "Zp"}
    assert not [c for c in text(value) if unicodedata.category(c) in unseen and c not in "\n\t"]


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_embedded_rows_are_read_back_as_they_were_and_cannot_end_their_script(value):
    made = embedded(value)
    assert json.loads(made) == value
    assert not set(made) & {"<", ">", "&", *UNSEEN}


def hostile_page(store, tmp_path):
    put(store, {
        HOSTILE: [
            row(HOSTILE, HOSTILE, "ynqa", contaminated_by=HOSTILE),
            row(f"2 {HOSTILE}", HOSTILE, "ynqa", rejected_because="contaminated",
                contaminated_by=HOSTILE),
        ]
    }, model=f"m@{HOSTILE}")  # fmt: skip
    corpus = catalogue_file(
        tmp_path, description=HOSTILE.replace("\0", ""), license="cc0-1.0 </p><script>"
    )
    return shown(store, corpus, tmp_path)


def test_hostile_texts_make_no_element_and_lose_no_character(store, tmp_path):
    page, data = hostile_page(store, tmp_path)
    assert len(page.findall(".//script")) == 2
    assert not page.findall(".//img")
    assert not page.xpath("//comment()")
    answer = next(r for r in data["rows"] if r["verdict"] is None)["answer"]
    assert answer == [HOSTILE]
    source = (tmp_path / "review-v1.html").read_text(encoding="utf-8")
    assert not [char for char in UNSEEN if char in source]
    assert "[U+202E]gnp.exe[U+202C]" in page.text_content()


def test_only_the_pages_own_script_may_run_and_nothing_is_fetched(store, corpus, tmp_path):
    put(store, letters(2))
    page, _ = shown(store, corpus, tmp_path)
    policy = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    own = {"script": page.xpath("//script[not(@type)]")[0], "style": page.find(".//style")}
    for kind, element in own.items():
        sum_ = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{sum_}'" in policy
    assert not page.xpath("//@src | //link | //iframe | //object | //@style | //@onclick")
    assert all(link.startswith("#") for link in page.xpath("//@href"))


# The figures


def test_the_page_shows_the_books_of_all_rows(store, corpus, tmp_path):
    put(store, letters(70, kept=3, refused=1))
    page, _ = shown(store, corpus, tmp_path, splits={"train": 190, "validation": 20})
    tables_ = [
        [[cell.text_content() for cell in line] for line in table.iter("tr")]
        for table in page.iter("table")
    ]
    assert ["curated tasks", "280", "210", "75.0%", ""] in tables_[0]
    assert ["published", "210", "210", "100.0%", ""] in tables_[0]
    assert ["ynqa", "yes-no question answering", "280", "210", "75.0%", ""] in tables_[1]
    assert ["ynqa", "yes", "280", "210", "100.0%", ""] in tables_[2]
    meaning = tables.REJECTIONS["truncated"]
    assert ["truncated", meaning, "70", "25.0%", ""] in tables_[3]


@given(
    st.dictionaries(
        st.integers(-5000, 0), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1
    )
)
def test_a_histogram_has_every_row_in_one_bar(counts):
    bars = logprob_bars(counts)
    assert sum(bar.kept for bar in bars) == sum(kept for kept, _ in counts.values())
    assert sum(bar.rejected for bar in bars) == sum(rejected for _, rejected in counts.values())
    assert len(bars) <= 25


def test_lengths_are_counted_between_powers_of_two(store):
    rows = [{"task_type": "qa", "output_chars": n} for n in (1, 7, 8, 15, 16)]
    put_document(store, "A passage.", 0, 10, *rows)
    with store.reader() as connection:
        bars = length_bars(lengths(connection, "c"))
    assert [(bar.name, bar.kept) for bar in bars] == [
        ("1", 1), ("2 to 3", 0), ("4 to 7", 1), ("8 to 15", 2), ("16 to 31", 1),
    ]  # fmt: skip


def test_a_histogram_names_its_bars_and_their_counts():
    drawn = lxml.html.fragment_fromstring(histogram("Length", [Bar("8 to 15", 3, 1)]))
    assert drawn.find(".//g/title").text == "8 to 15: 3 kept, 1 rejected"
    assert histogram("Length", []) == ""


def test_a_stage_that_is_missing_is_named(store, corpus, tmp_path):
    with pytest.raises(TableMissing, match="documents of 'letters'"):
        write_review(tmp_path / "review.html", store, corpus, "v1", {})


def test_the_cards_plots_are_small_pictures():
    plots = [
        funnel_plot([("documents", 63, 63), ("passages", 171, 160), ("nothing", 0, 0)]),
        task_type_plot({"nli": 3}, {"nli": 9, "ynqa": 1}),
        label_plot({("mcqa", f"${n} \u202e"): n + 1 for n in range(12)}),
    ]
    for plot in plots:
        assert plot.startswith(b"\x89PNG")
        assert len(plot) < 20_000


# In a browser


def browse(page, script, tmp_path):
    """Gives what a browser makes of `page` when it also runs `script`, which its policy allows."""
    sum_ = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    source = page.read_text(encoding="utf-8")
    source = source.replace("script-src '", f"script-src 'sha256-{sum_}' '", 1)
    copy = tmp_path / "copy.html"
    source = source.replace("</body>", f"<script>{script}</script></body>")
    copy.write_text(source, encoding="utf-8")
    # A browser refuses its sandbox to root, as which containers run; the page is our own.
    ran = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", copy.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    return parsed(ran.stdout)


in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.mark.slow
@in_a_browser
def test_hostile_texts_stay_texts_and_what_is_unseen_is_shown(store, tmp_path):
    hostile_page(store, tmp_path)
    page = browse(tmp_path / "review-v1.html", "", tmp_path)
    assert page.find(".//title").text == "letters: review of release v1"
    assert not page.findall(".//img")
    cards = page.find_class("card")
    assert len(cards) == 2
    expected = re.sub("|".join(UNSEEN), lambda found: f"U+{ord(found[0]):04X}", HOSTILE)
    assert all(expected in card.text_content() for card in cards)


@pytest.mark.slow
@in_a_browser
def test_keys_step_and_mark_and_the_agreement_is_counted(store, corpus, tmp_path):
    put(store, letters(3, kept=1, refused=1))
    shown(store, corpus, tmp_path)
    press = """
        const press = (key) => document.body.dispatchEvent(
            new KeyboardEvent("keydown", {key, bubbles: true}));
        byId("verdict").value = "kept"; show();
        press("j"); press("g"); press("j"); press("g"); press("j"); press("b");
        byId("verdict").value = "truncated"; show();
        press("j"); press("b");
    """
    page = browse(tmp_path / "review-v1.html", press, tmp_path)
    said = page.get_element_by_id("agreement").text
    assert said.startswith("agree with 3 of 4 (75%; 95% interval 30 to 95%) of the verdicts")
    assert "good among kept rows: 2 of 3" in said
    assert len(page.find_class("card")) == 3
    assert page.get_element_by_id("place").text == "1 / 3"


@pytest.mark.slow
@in_a_browser
def test_a_script_that_got_into_the_page_is_not_run(store, corpus, tmp_path):
    put(store, letters(1))
    shown(store, corpus, tmp_path)
    path = tmp_path / "review-v1.html"
    path.write_text(path.read_text().replace("<h1>", "<script>document.title='taken'</script><h1>"))
    page = browse(path, "", tmp_path)
    assert page.find(".//title").text == "letters: review of release v1"
