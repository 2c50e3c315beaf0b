"""Text that is put together knows where its headings stand, and shows numbers as lists do."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.writer import Writer, numeral


@given(st.lists(st.tuples(st.text("ab\n", min_size=1), st.sampled_from([None, 1, 2])), min_size=1))
def test_a_writer_knows_where_its_headings_stand(blocks):
    writer = Writer()
    for block, level in blocks:
        writer.add(block, level)
    shown = [(block, level) for block, level in blocks if block.strip()]
    if not shown:
        with pytest.raises(Refused):
            writer.extracted()
        return
    found = writer.extracted()
    assert found.text == "\n\n".join(block for block, _ in shown)
    wanted = [(block, level) for block, level in shown if level]
    assert [level for _, level in found.headings] == [level for _, level in wanted]
    for (start, _), (block, _) in zip(found.headings, wanted, strict=True):
        assert found.text.startswith(block, start)


@pytest.mark.parametrize(
    ("number", "kind", "written"),
    [(4, "decimal", "4"), (1, "letter", "a"), (28, "letter", "bb"), (1994, "roman", "mcmxciv")],
)
def test_numbers_of_lists_are_written_as_they_show(number, kind, written):
    assert numeral(number, kind) == written
