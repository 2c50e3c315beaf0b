"""A stretch of a text is found again in whatever it was copied into, and nothing else is."""

import html
import io
import json
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.metadata import cell

TEXT = (
    'Mrs Amélie "Milou" Østergård-Quist pays 1,250 <euros> & keeps the keys;\nthe lamp on the '
    "pier burns until the ferry has gone, and 灯台守は夜明け前に油を足して日誌に名前を書く"
)
WORDS = st.lists(st.text("abcdefghij", min_size=3, max_size=8), min_size=12, max_size=40)


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        html.escape,
        str.upper,
        lambda text: text.replace(" ", "\n   "),
        lambda text: cell(text)[:200],
        lambda text: f"before {text[30:]}",
        lambda text: text[:70],
    ],
    ids=["plain", "json", "json in utf-8", "html", "upper", "broken lines", "markdown", "end",
         "beginning"],
)  # fmt: skip
def test_a_text_is_found_in_every_form(form):
    found = Fingerprints.of([TEXT])
    assert found.in_text(form(TEXT))
    assert found.in_file(io.BytesIO(b"\0" * 5_000_000 + form(TEXT).encode()))


@given(WORDS, st.data())
def test_every_stretch_of_six_words_or_more_is_found(words, data):
    text = " ".join(words)
    start = data.draw(st.integers(0, len(text) - 40))
    stretch = text[start : start + 64]
    assume(len(stretch.replace(" ", "")) >= 32)
    assert Fingerprints.of([text]).in_text(f"quoted: {stretch} (end)")


@given(WORDS)
def test_what_others_say_too_is_not_looked_for(words):
    shared = " ".join(words)
    own = Fingerprints.of([f"{shared} Only this one says that the lighthouse was painted green."])
    left = own.without([shared.encode()])
    assert not left.in_text(shared)
    assert left.in_text("Only this one says that the lighthouse was painted green.")


def test_nothing_is_found_in_a_million_random_bytes():
    assert not Fingerprints.of([TEXT]).in_bytes(random.Random(1).randbytes(1_000_000))


def test_a_stretch_across_two_blocks_of_a_file_is_found():
    block = 1 << 22
    content = b" " * (block - 40) + TEXT[:60].encode() + b" " * block
    assert Fingerprints.of([TEXT]).in_file(io.BytesIO(content))


def test_those_that_are_kept_are_a_part_of_them_and_come_back():
    found = Fingerprints.of([TEXT])
    kept = Fingerprints.from_hex(found.as_hex(50))
    assert 25 <= len(kept) <= 50
    assert set(kept.values) < set(found.values)
    assert len(found | kept) == len(found)


def test_a_text_too_short_to_be_known_has_none():
    assert len(Fingerprints.of(["Yes", ""])) == 0
    assert not Fingerprints.from_hex([]).in_text(TEXT)
