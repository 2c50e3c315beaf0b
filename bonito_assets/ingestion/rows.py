"""Reads tables row by row: JSONL, JSON, CSV, TSV, Parquet and Arrow, whatever is wrong with a row.

A broken row comes out as a row with an error, and the next one is read as if nothing had been.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.text import encoding
from bonito_assets.ingestion.reading import Reading

# Rows that are decoded at once: text of some 2 kB each.
_BATCH_ROWS = 512
# Broken rows after which a table of text is given up: each may cost a second look at many lines.
_RECOVERIES = 1000
# As much of a table as tells its encoding and its separator.
_SAMPLE_BYTES = 1 << 16
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """One row: its number from 1 (of the line in JSONL), its fields, or an error.

    With ``values`` the error is a warning. ``sha256`` is the digest of the bytes or fields.
    """

    number: int
    sha256: str
    values: dict[str, Any] | None = None
    error: str | None = None
    code: str = "unreadable"


def selected(values: dict[str, Any], reading: Reading) -> bool:
    """Tells whether a row has the values that the catalogue's ``where`` asks for.

    Tables of text know no types, so "3" is as good as 3 there.
    """
    return all(
        values.get(name) == wanted or (name in values and values[name] == _as_text(wanted))
        for name, wanted in reading.where.items()
    )


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def jsonl(file: BinaryIO, reading: Reading, lines_before: int = 0) -> Iterator[Row]:
    """Gives the rows of JSON Lines; they are numbered on from `lines_before`."""
    longest = reading.limits.text_mb * 1_000_000
    number = lines_before
    file = _as_utf8(file)
    while line := file.readline(longest + 1):
        number += 1
        if len(line) > longest:
            while line and not line.endswith(b"\n"):
                line = file.readline(1 << 20)
            yield Row(
                number,
                "",
                error=f"line {number}: is longer than limits.text_mb ({reading.limits.text_mb})",
                code="too_large",
            )
            continue
        if line.isspace():
            continue
        sha256 = hashlib.sha256(line.rstrip(b"\r\n")).hexdigest()
        try:
            values = _parsed(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, sha256, error=f"line {number}: not JSON: {error}")
            continue
        if isinstance(values, dict):
            yield Row(number, sha256, values)
        else:
            yield Row(number, sha256, error=f"line {number}: not an object")


def _parsed(line: bytes) -> Any:
    import orjson

    try:
        return orjson.loads(line)
    except ValueError:
        # The strict reader refuses lone surrogates and NaN, which half of the world writes.
        return json.loads(line.decode("utf-8"))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(_parsed(line), dict)
    except (ValueError, RecursionError):
        return False


def _as_utf8(file: BinaryIO) -> BinaryIO:
    """Gives `file` without a byte order mark, and recoded where that is the mark of UTF-16."""
    buffered = io.BufferedReader(file, _SAMPLE_BYTES)  # type: ignore[arg-type]
    start = buffered.peek(3)
    if start.startswith(UTF16):
        text = io.TextIOWrapper(buffered, "utf-16", errors="replace", newline="")
        return io.BufferedReader(_Encoded(text))
    if start.startswith(codecs.BOM_UTF8):
        buffered.read(len(codecs.BOM_UTF8))
    return buffered


class _Encoded(io.RawIOBase):
    """A file of text as a file of UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        # No character has more than four bytes.
        block = self._text.read(max(1, len(buffer) // 4)).encode("utf-8", "surrogatepass")
        buffer[: len(block)] = block
        return len(block)


def _json(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    content = _as_utf8(file).read(reading.limits.text_mb * 4_000_000 + 1)
    if len(content) > reading.limits.text_mb * 4_000_000:
        raise Refused("too_large", "is larger than four times limits.text_mb; write it as JSONL")
    try:
        whole = _parsed(content)
    except (ValueError, RecursionError) as error:
        if _is_object(content.partition(b"\n")[0]):
            # Many tools give JSON Lines this name.
            yield from jsonl(io.BytesIO(content), reading)
            return
        raise Refused("unreadable", f"is not JSON: {error}") from error
    if not isinstance(whole, list):
        raise Refused(
            "unsupported_format", "is JSON but no list of objects; write it as JSONL, a row a line"
        )
    for number, values in enumerate(whole, start=1):
        sha256 = _digest(values)
        if isinstance(values, dict):
            yield Row(number, sha256, values)
        else:
            yield Row(number, sha256, error=f"entry {number}: not an object")


def _csv(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    return _separated(file, reading, ",")


def _tsv(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    return _separated(file, reading, "\t")


def _separated(file: BinaryIO, reading: Reading, separator: str) -> Iterator[Row]:
    buffered = io.BufferedReader(file, _SAMPLE_BYTES)  # type: ignore[arg-type]
    sample = buffered.peek(_SAMPLE_BYTES)
    lines = _Lines(io.TextIOWrapper(buffered, encoding(sample), errors="replace", newline=""))
    if separator == ",":
        separator = _separator(sample)
    csv.field_size_limit(reading.limits.text_mb * 1_000_000)
    records = csv.reader(lines, delimiter=separator)
    try:
        header = next(records, None)
    except csv.Error as error:
        raise Refused("unreadable", f"is no table: {error}") from error
    if not header:
        return
    header = [name.strip().removeprefix("\ufeff") for name in header]
    if reading.text_field not in header:
        raise Refused(
            "unreadable",
            f"has no column '{reading.text_field}' (text_field); it has: {', '.join(header)}",
        )
    lines.record()
    number = recoveries = 0
    while True:
        error = None
        try:
            values = next(records, None)
        except csv.Error as caught:
            values, error = [], str(caught)
        held, first = lines.record()
        if values is None:
            return
        if not values and error is None:
            continue
        number += 1
        where = f"row {number} (line {first})"
        raw = "".join(held)
        doubtful = len(held) > 1 or raw.count('"') % 2
        if error is None and doubtful and _is_unclosed(held, separator):
            error = "a quote is opened and never closed"
        if error is None:
            yield _record(number, where, raw, header, values, reading)
            continue
        yield Row(number, _sha(held[0]), error=f"{where}: {error}")
        # The lines after it were swallowed by mistake: they are read again, as rows of their own.
        recoveries += 1
        if recoveries > _RECOVERIES:
            raise Refused(
                "unreadable", f"has too many broken rows; nothing was read from {where} on"
            )
        lines.push_back(held[1:])
        records = csv.reader(lines, delimiter=separator)


def _is_unclosed(record: list[str], separator: str) -> bool:
    """Tells whether a quote of the lines of `record` was taken up by accident.

    Either none follows, up to the end of the file, or the one that does is the opening quote of a
    later row: then it is followed by text. A quote inside a field that does not begin with one is
    a character like another: 5" of snow.
    """
    try:
        for _ in csv.reader(record, delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return len(record) > 1 or "end of data" in str(error)
    return False


def _record(
    number: int, where: str, raw: str, header: list[str], values: list[str], reading: Reading
) -> Row:
    sha256 = _sha(raw)
    fields = dict(zip(header, values, strict=False))
    if reading.text_field not in fields:
        short = f"has {len(values)} of {len(header)} columns, without '{reading.text_field}'"
        return Row(number, sha256, error=f"{where}: {short}")
    warnings = []
    if len(values) != len(header):
        warnings.append(f"has {len(values)} columns where the header has {len(header)}")
    if "\ufffd" in raw:
        warnings.append("holds bytes that are invalid in its encoding, which were replaced")
    return Row(number, sha256, fields, f"{where}: {'; '.join(warnings)}" if warnings else None)


class _Lines:
    """Hands lines to the CSV reader and keeps those of the record that is being read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._held: list[str] = []
        self._again: deque[str] = deque()
        self._count = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        # NULs stop some versions of the reader; they are no text.
        line = self._again.popleft() if self._again else next(self._lines).replace("\0", "")
        self._count += 1
        self._held.append(line)
        return line

    def record(self) -> tuple[list[str], int]:
        """Gives the lines since the last call, and the number of the first of them."""
        held, self._held = self._held, []
        return held, self._count - len(held) + 1

    def push_back(self, lines: list[str]) -> None:
        """Takes lines back, to hand them out again."""
        self._again.extendleft(reversed(lines))
        self._count -= len(lines)


def _separator(sample: bytes) -> str:
    """Gives the character that separates fields: the one that the first line has most of."""
    first = sample.splitlines()[0] if sample.splitlines() else b""
    return max(",;\t|", key=lambda mark: first.count(mark.encode()))


def _parquet(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    import pyarrow.parquet as pq

    # With a buffer a row group is read as it is needed, and not as a whole.
    table = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
    metadata = table.metadata
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            if metadata.row_group(group).column(column).compression == "BROTLI":
                # The decoder that readers carry can be made to write outside its memory.
                raise Refused(
                    "unsupported_format", "is compressed with Brotli; write it with zstd or snappy"
                )
    columns = _wanted(table.schema_arrow.names, reading)
    batches = table.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False)
    yield from _from_batches(batches)


def _arrow(file: BinaryIO, reading: Reading) -> Iterator[Row]:
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(file)
        batches: Iterator[pa.RecordBatch] = map(table.get_batch, range(table.num_record_batches))
    except pa.ArrowInvalid:
        file.seek(0)
        table = pa.ipc.open_stream(file)
        batches = iter(table)
    columns = _wanted(table.schema.names, reading)
    yield from _from_batches(
        batch.select(columns).slice(start, _BATCH_ROWS)
        for batch in batches
        for start in range(0, batch.num_rows, _BATCH_ROWS)
    )


def _wanted(names: list[str], reading: Reading) -> list[str]:
    if reading.text_field not in names:
        raise Refused(
            "unreadable",
            f"has no column '{reading.text_field}' (text_field); it has: {', '.join(names)}",
        )
    wanted = {
        reading.text_field,
        reading.id_field,
        reading.title_field or "title",
        reading.license_field or "license",
        *reading.where,
    }
    return [name for name in names if name in wanted]


def _from_batches(batches: Iterator[Any]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for values in _values(batch):
            number += 1
            if isinstance(values, Exception):
                yield Row(number, "", error=f"row {number}: cannot be read: {values}")
            else:
                yield from_mapping(number, values)


def _values(batch: Any) -> list[dict[str, Any] | Exception]:
    """Gives the fields of each row of `batch`, or the error that keeps them from being read."""
    try:
        # A table may say anything of itself, such as that a text lies outside of it.
        batch.validate(full=True)
        return batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            return [error]
        alone = (batch.slice(place, 1) for place in range(batch.num_rows))
        return [values for row in alone for values in _values(row)]


def from_mapping(number: int, values: dict[str, Any]) -> Row:
    """Gives the row that a mapping of fields makes."""
    return Row(number, _digest(values), values)


def _digest(values: Any) -> str:
    import orjson

    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    try:
        content = orjson.dumps(values, default=str, option=options)
    except (TypeError, ValueError):  # lone surrogates, numbers beyond 64 bits
        content = json.dumps(values, default=str, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# These begin at the end of a file.
SEEKING = frozenset({"application/vnd.apache.parquet", "application/vnd.apache.arrow.file"})
READERS: dict[str, Callable[[BinaryIO, Reading], Iterator[Row]]] = {
    "application/jsonl": jsonl,
    "application/json": _json,
    "text/csv": _csv,
    "text/tab-separated-values": _tsv,
    "application/vnd.apache.parquet": _parquet,
    "application/vnd.apache.arrow.file": _arrow,
}
