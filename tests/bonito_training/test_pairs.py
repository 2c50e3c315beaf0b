"""From sources of text to the table of pairs."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bonito_assets.bonito_training import labelled, pairs, templates
from bonito_assets.bonito_training.pairs import Source
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.generation.prompts import prompt as bonito_prompt
from bonito_assets.tables import CONTEXT_SLOT

_TEXT = (
    "The library lends three books to every member. It opens on Monday at noon. "
    "A late book costs ten cents a day. The reading room is closed in July."
)


def _source(folder: Path, rows: list[dict], **settings: object) -> Source:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return Source(str(path), "library", "cc0-1.0", **settings)  # type: ignore[arg-type]


def test_without_sources_the_pairs_are_made_from_invented_passages_alone() -> None:
    made, listed = pairs.build([], 200, seed=0)
    assert len(made) == 200
    assert {pair.source for pair in made} == {"grammar"}
    assert [s["name"] for s in listed] == ["grammar"]
    assert {pair.task_type for pair in made} <= set(TASK_TYPES)


def test_the_same_seed_gives_the_same_pairs_and_another_seed_other_ones(tmp_path: Path) -> None:
    source = _source(tmp_path, [{"text": _TEXT}])
    assert pairs.build([source], 100, seed=3)[0] == pairs.build([source], 100, seed=3)[0]
    assert pairs.build([source], 100, seed=3)[0] != pairs.build([source], 100, seed=4)[0]


def test_every_pair_names_its_source_and_licence_and_keeps_the_format(tmp_path: Path) -> None:
    made, listed = pairs.build([_source(tmp_path, [{"text": _TEXT}])], 200, seed=1)
    for pair in made:
        assert (pair.source, pair.license) in {("library", "cc0-1.0"), pairs.GRAMMAR}
        assert pair.prompt == bonito_prompt(pair.context, pair.task_type)
        assert templates.parsed(pair.completion)
    by_name = {s["name"]: s for s in listed}
    assert sum(s["pairs"] for s in listed) == 200
    assert by_name["library"]["passages"] > 0
    assert len(by_name["library"]["version"]) == 64


def test_pairs_are_written_as_they_come_and_counted_by_type(tmp_path: Path) -> None:
    made, _ = pairs.build([], 300, seed=0)
    counted = pairs.write(tmp_path / "pairs.parquet", iter(made))
    table = pq.read_table(tmp_path / "pairs.parquet")
    assert table.schema.equals(pairs.SCHEMA)
    assert [pairs.Pair(**row) for row in table.to_pylist()] == made
    assert counted == Counter(table["task_type"].to_pylist())


def test_rows_marked_as_test_contexts_are_never_read(tmp_path: Path) -> None:
    rows = [{"text": _TEXT, "in_test": False}, {"text": "Secret " + _TEXT, "in_test": True}]
    texts, _ = pairs.read_source(_source(tmp_path, rows, skip_if="in_test"), random.Random(0))
    assert texts
    assert not any("Secret" in text for text in texts)


def test_passages_are_whole_sentences_of_the_text_in_at_most_360_characters(tmp_path: Path) -> None:
    texts, _ = pairs.read_source(_source(tmp_path, [{"text": _TEXT * 5}]), random.Random(0))
    assert all(text in (_TEXT * 5).replace(".The", ". The") or text for text in texts)
    assert all(60 <= len(text) <= 360 and text.endswith(".") for text in texts)


def test_gzipped_lines_and_plain_text_are_read(tmp_path: Path) -> None:
    packed = tmp_path / "rows.jsonl.gz"
    with gzip.open(packed, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"body": _TEXT}))
    plain = tmp_path / "book.txt"
    plain.write_text(_TEXT.replace(". ", ".\n"), encoding="utf-8")
    for path, field in ((packed, "body"), (plain, "text")):
        source = Source(str(path), "s", "cc0-1.0", text_field=field)
        assert pairs.read_source(source, random.Random(0))[0]


def test_a_missing_file_and_a_missing_field_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.jsonl.*`path` of the source 'library'"):
        pairs.build([Source(str(tmp_path / "nowhere.jsonl"), "library", "cc0-1.0")], 10, 0)
    with pytest.raises(ValueError, match=r"row 1 has no text in 'text'; it has body"):
        pairs.build([_source(tmp_path, [{"body": "x"}])], 10, 0)


def test_freshened_text_exchanges_a_number_everywhere_alike() -> None:
    text = pairs.freshened("Room 47 is free. We like room 47 best.", random.Random(2))
    first, second = text.split(" is free. We like room ")
    assert first.removeprefix("Room ") == second.removesuffix(" best.")
    assert "47" not in text or first == "Room 47"


@pytest.mark.parametrize(
    ("row", "task_type", "answer"),
    [
        (
            {"question": "is the sky blue", "label": "yes", "choices": ["yes", "no"]},
            "ynqa",
            {"Yes"},
        ),
        ({"question": "It is.", "label": "REFUTES", "choices": []}, "nli", {"No", "False"}),
        ({"question": "Which?", "label": "b", "choices": ["a", "b", "c"]}, "topic_class", {"b"}),
    ],
)
def test_a_labelled_row_becomes_a_pair_of_its_task(
    row: dict, task_type: str, answer: set[str]
) -> None:
    made = labelled.pair({**row, "context": _TEXT}, random.Random(0))
    assert made is not None
    assert made[0] == task_type
    assert made[1][1] in answer
    assert made[1][0].count(CONTEXT_SLOT) == 1


def test_a_labelled_row_of_unknown_form_makes_no_pair() -> None:
    assert (
        labelled.pair({"context": _TEXT, "question": "Who?", "label": "x"}, random.Random(0))
        is None
    )
    assert labelled.pair({"context": _TEXT, "question": "Who?"}, random.Random(0)) is None
