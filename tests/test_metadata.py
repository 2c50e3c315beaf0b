"""Text from corpora is shown as text: no markup, no links, no page-long cells."""

import html
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from bonito_assets.metadata import cell, markdown_table


@pytest.mark.parametrize(
    "hostile",
    ["<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](http://t/x.png)", "**b**",
     "a | b", "`code`", "http://example.org/", "# title", "line\nbreak"],
)  # fmt: skip
def test_hostile_text_is_shown_as_it_stands(hostile):
    shown = MarkdownIt("commonmark").enable("table").render(markdown_table([{"a": hostile}]))
    body = re.search(r"<td>(.*?)</td>", shown, flags=re.DOTALL).group(1)
    assert html.unescape(body) == hostile.replace("\n", " ↵ ")
    assert not re.search(r"<\w", body)


@given(st.text(max_size=2000))
def test_a_cell_is_one_line_and_short(text):
    assert "\n" not in cell(text)
    assert len(cell(text)) < 300 * 6


def test_a_table_has_a_line_per_row():
    assert markdown_table([{"a": 1, "b": "x"}]) == "| a | b |\n| --- | --- |\n| 1 | x |"
    assert markdown_table([]) == ""
