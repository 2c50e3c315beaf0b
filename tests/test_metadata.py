"""Text from corpora is shown as text: no markup, no links, no hidden turns, nothing too long."""

import ast
import html
import re
from pathlib import Path

import dagster as dg
import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given
from markdown_it import MarkdownIt

import bonito_assets
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.ingestion.assets import documents
from bonito_assets.metadata import (
    MOST_BYTES,
    MOST_BYTES_OF_A_VALUE,
    capped,
    cell,
    link,
    markdown_table,
    plain,
)
from resources.store import Store

# Overrides and isolates of direction, controls, tags, and half a character.
UNSEEN = "\u202e\u2066\u0000\u001b\u007f\U000e0041\ud800\ufeff"


def rendered(text):
    return MarkdownIt("commonmark").enable("table").render(text)


@pytest.mark.parametrize(
    "hostile",
    ["<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](http://t/x.png)", "**b**",
     "a | b", "`code`", "http://example.org/", "# title", "line\nbreak"],
)  # fmt: skip
def test_hostile_text_is_shown_as_it_stands(hostile):
    shown = rendered(markdown_table([{"a": hostile}]))
    body = re.search(r"<td>(.*?)</td>", shown, flags=re.DOTALL).group(1)
    assert html.unescape(body) == hostile.replace("\n", " ↵ ")
    assert not re.search(r"<\w", body)


@pytest.mark.parametrize("number", range(len(UNSEEN)))
def test_what_cannot_be_seen_is_shown_by_its_number(number):
    code = f"{ord(UNSEEN[number]):04X}"
    assert cell(f"a{UNSEEN[number]}b") == f"a‹{code}›b"


@pytest.mark.parametrize("text", ["می\u200cخواهم", "👩\u200d🔬", "שלום\u200f!", "tab\there"])
def test_what_a_script_is_written_with_stays(text):
    assert plain(text) == text


@given(st.text(max_size=2000))
def test_a_cell_is_one_line_and_short(text):
    assert "\n" not in cell(text)
    assert len(cell(text)) < 300 * 8


def test_a_table_has_a_line_per_row():
    assert markdown_table([{"a": 1, "b": "x"}]) == "| a | b |\n| --- | --- |\n| 1 | x |"
    assert markdown_table([]) == ""


HOSTILE = st.one_of(
    st.text(max_size=50).map(lambda text: text * 2000),
    st.text(max_size=50).map(lambda text: dg.MetadataValue.text(text * 2000)),
    st.text(max_size=50).map(lambda text: dg.MetadataValue.md(f"{text}\n" * 2000)),
    st.integers(0, 200_000).map(lambda size: dg.MetadataValue.md("![x](data:" + "A" * size + ")")),
    st.integers(0, 60_000).map(lambda size: dg.MetadataValue.json({"rows": "x" * size})),
    st.integers(),
)


@given(st.dictionaries(st.text(max_size=200), HOSTILE, max_size=12))
def test_no_value_and_no_materialization_is_too_large_to_show(metadata):
    shown = dg.AssetMaterialization("a", metadata=capped(metadata)).metadata
    sizes = [len(str(value.value).encode()) for value in shown.values()]
    assert max(sizes, default=0) <= MOST_BYTES_OF_A_VALUE
    assert sum(sizes) + sum(len(name.encode()) for name in shown) <= MOST_BYTES


def test_many_small_values_are_counted_where_they_are_left_out():
    shown = capped({f"number {n}": "x" * 100 for n in range(10_000)})
    assert shown["number 0"] == "x" * 100
    assert f"{10_000 - len(shown) + 1:,} values" in shown["left out"]


def test_a_long_table_loses_whole_rows_and_says_how_many():
    table = markdown_table([{"n": n, "text": "x" * 290} for n in range(1000)])
    shown = capped({"t": dg.MetadataValue.md(table)})["t"].value
    kept = [line for line in shown.split("\n") if line.startswith("|")]
    assert table.startswith("\n".join(kept))
    assert f"({1002 - len(kept):,} more lines are not shown)" in shown


def test_a_plot_is_whole_or_left_out():
    image = dg.MetadataValue.md(f"![x](data:image/png;base64,{'A' * 50_000})")
    assert "data:image" not in capped({"p": image})["p"].value
    small = dg.MetadataValue.md(f"![x](data:image/png;base64,{'A' * 20_000})")
    assert capped({"p": small})["p"] == small


def test_places_can_be_copied_or_opened(tmp_path):
    assert link(str(tmp_path)) == dg.MetadataValue.path(str(tmp_path))
    assert link("https://example.org/x") == dg.MetadataValue.url("https://example.org/x")
    assert link("s3://bucket/x") == dg.MetadataValue.text("s3://bucket/x")
    assert Path(link("data").value).is_absolute()


def test_every_stage_hands_its_metadata_through_the_cap():
    for file in Path(bonito_assets.__file__).parent.rglob("assets.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "dg.MaterializeResult":
                [metadata] = [word.value for word in node.keywords if word.arg == "metadata"]
                assert ast.unparse(metadata).startswith("capped("), f"{file}:{node.lineno}"


def test_a_corpus_of_adversarial_text_makes_small_and_harmless_metadata(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    evil = (
        "<img src=x onerror=alert(1)> [x](javascript:alert(1)) \u202eevil\u2066 ![i](http://t/i)\n"
    )
    (folder / "large.txt").write_text(evil * 120_000, encoding="utf-8")
    (folder / "<b>[n](http:x) | `.txt").write_text(evil, encoding="utf-8")
    settings = {"source": {"files": "texts/*"}, "task_types": ["ynqa"]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(corpora.name, ["c"])
        done = dg.materialize(
            [documents],
            instance=instance,
            partition_key="c",
            resources={
                "store": Store(root=str(tmp_path / "data")),
                "catalogue": Catalogue(folder=str(tmp_path)),
            },
        )
    [made] = done.asset_materializations_for_node("documents")
    sizes = {name: len(str(value.value).encode()) for name, value in made.metadata.items()}
    assert max(sizes.values()) <= MOST_BYTES_OF_A_VALUE
    assert sum(sizes.values()) <= MOST_BYTES
    sample = rendered(made.metadata["sample"].value)
    assert len(re.findall("<tr>", sample)) == 3
    assert not re.search(r"<(img|a|b|code)\b", sample)
    assert "\u202e" not in sample and "\u2066" not in sample
    assert all(check.passed for check in done.get_asset_check_evaluations())
