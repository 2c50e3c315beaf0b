"""The card is valid for the hub, tells the books, and shows text of the corpus as text."""

import re

import pytest
import yaml
from huggingface_hub import DatasetCard, metadata_load
from markdown_it import MarkdownIt
from PIL import Image

from bonito_assets.publishing.card import header
from bonito_assets.publishing.release import Rows
from tests.publishing.made import catalogue_file, letters, pay, put, release, row

HOSTILE = "<img src=x onerror=alert(1)>\n# Title\n![x](http://t/x.png) | `code` [y](javascript:z)"


def text_of(store, corpus, content):
    put(store, content)
    folder = release(store, corpus)[1]
    return (folder / "README.md").read_text(encoding="utf-8")


def section(card, title):
    return re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE).group(1)


def test_the_hubs_library_reads_what_it_needs_to_know(store, tmp_path, rows_alone):
    corpus = catalogue_file(tmp_path, language="en", task_types=["ynqa", "summarization"])
    put(store, letters(20))
    folder = release(store, corpus)[1]
    found = metadata_load(folder / "README.md")
    assert found["license"] == "cc0-1.0"
    assert found["language"] == ["en"]
    assert found["size_categories"] == ["n<1K"]
    assert set(found["task_categories"]) == {
        "text-generation", "question-answering", "summarization",
    }  # fmt: skip
    files = found["configs"][0]["data_files"]
    assert [entry["split"] for entry in files] == ["train", "validation"]
    assert all((folder / entry["path"]).is_file() for entry in files)
    assert DatasetCard.load(folder / "README.md").data.tags == [
        "bonito", "synthetic", "instruction-tuning",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "size"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**8, "100M<n<1B")],
)
def test_the_class_of_size_is_the_hubs(rows, size):
    block = header("c", Rows({"train": rows}, "v"), ["nli"], None, [])
    assert yaml.safe_load(block.strip("-"))["size_categories"] == [size]


def test_a_licence_that_the_hub_has_no_name_for_is_called_other():
    block = yaml.safe_load(header("c", Rows({"train": 1}, "v"), [], "House rules", []).strip("-"))
    assert (block["license"], block["license_name"]) == ("other", "House rules")
    assert "license" not in yaml.safe_load(
        header("c", Rows({"train": 1}, "v"), [], None, []).strip("-")
    )


def test_the_funnel_and_every_verdict_stand_in_it(store, corpus, rows_alone):
    content = letters(10)
    content["0.txt"][0]["rejected_because"] = "near_duplicate"
    card = text_of(store, corpus, content)
    funnel = section(card, "From documents to rows")
    assert "| curated\\_tasks | 30 | 19 |" in funnel
    verdicts = section(card, "What became of each generation")
    assert "| near\\_duplicate | 1 |" in verdicts
    assert "| truncated | 10 |" in verdicts


def test_model_parameters_and_bill_stand_in_it(store, corpus, rows_alone):
    pay(store, 190, 38.0, money=3.8)
    card = text_of(store, corpus, letters(10, kept=2, refused=0))
    assert "`writer@0123`" in card
    assert '"temperature": 0.5' in section(card, "How it was made")
    assert "| prompt tokens | 190 | 190 | 9.5 |" in section(card, "What it cost")
    assert "| money | 3.80 | 3.80 | 0.19 |" in section(card, "What it cost")


def test_kept_and_refused_rows_are_shown(store, corpus, rows_alone):
    content = letters(3, refused=0)
    content["0.txt"].append(row("Is it a brig?", "No", rejected_because="contaminated"))
    card = text_of(store, corpus, content)
    assert "Did ship" in section(card, "Accepted rows, a sample")
    assert "Is it a brig" in section(card, "Refused rows, a sample")


def test_text_of_the_corpus_is_shown_as_text(store, corpus, rows_alone):
    content = letters(3, refused=0)
    content["0.txt"] = [
        row(HOSTILE, HOSTILE, label=HOSTILE),
        row(HOSTILE, HOSTILE, rejected_because="low_quality"),
    ]
    shown = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(text_of(store, corpus, content))
    )
    assert "onerror" in shown
    assert not re.search(r"<(img|a)\b|<h1>Title", shown)


def test_contamination_is_counted_by_test_set(store, tmp_path, rows_alone):
    content = letters(5, refused=0)
    content["0.txt"] = [row("a?", rejected_because="contaminated", contaminated_by="own: q1"),
                        row("b?", rejected_because="contaminated", contaminated_by="own: q2"),
                        row("c?", transductive=True)]  # fmt: skip
    corpus = catalogue_file(tmp_path, evaluation={"test": "own.jsonl"})
    overlap = section(text_of(store, corpus, content), "Overlap with test sets")
    assert "2 rows share" in overlap
    assert "1 published rows" in overlap
    assert "| own | 2 |" in overlap


def test_folders_and_passwords_of_whoever_publishes_stay_out(store, tmp_path, rows_alone):
    login = "s3://${KEY}:${PASSWORD}@bucket/letters/*.txt"
    places = ["/home/somebody/secret/letters/**/*.txt", login]
    corpus = catalogue_file(
        tmp_path, source={"files": places}, curation={"decontaminate_against": ["/home/x/t.jsonl"]}
    )
    card = text_of(store, corpus, letters(2))
    assert "`letters/**/*.txt`" in card
    assert "s3://bucket/letters/*.txt" in card
    assert not re.search("somebody|KEY|PASSWORD|/home", card)


def test_every_plot_is_in_the_release_and_named_relative_to_it(store, corpus):
    put(store, letters(6))
    folder = release(store, corpus)[1]
    card = (folder / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[.+?\]\((.+?)\)", card)
    assert sorted(named) == ["images/funnel.png", "images/labels.png", "images/task-types.png"]
    for path in named:
        assert Image.open(folder / path).format == "PNG"
