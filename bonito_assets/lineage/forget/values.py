"""The text inside Arrow columns, as bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.types as types


def text_bytes(column: pa.Array) -> Iterator[bytes]:
    """Gives the bytes of all text and binary values of a column, also those in lists and structs.

    Values follow each other without a mark between them.
    """
    kind = column.type
    if types.is_dictionary(kind):
        yield from text_bytes(column.dictionary)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        yield from text_bytes(column.flatten())
    elif types.is_struct(kind):
        for place in range(kind.num_fields):
            yield from text_bytes(column.field(place))
    elif (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    ):
        # Taken, since a slice or a filtered column can drag along bytes of other rows.
        values = column.take(pa.array(range(len(column)), pa.int64()))
        if len(values) and (data := values.buffers()[2]) is not None:
            yield data.to_pybytes()
