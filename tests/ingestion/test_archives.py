"""Of an archive each member comes out by itself, and whatever is wrong costs only the member."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingestion.made import jsonl, parquet, read, texts, verdicts


def zipped(members, **options):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return sink.getvalue()


def tarred(members, mode="w"):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zstd(content):
    return pa.compress(content, "zstd", asbytes=True)


ARCHIVES = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tar.gz": lambda members: gzip.compress(tarred(members)),
    "a.tgz": lambda members: gzip.compress(tarred(members)),
    "a.tar.zst": lambda members: zstd(tarred(members)),
    "a.tar.bz2": lambda members: bz2.compress(tarred(members)),
    "a.tar.xz": lambda members: lzma.compress(tarred(members)),
}
COMPRESSIONS = {
    ".gz": gzip.compress,
    ".zst": zstd,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
MEMBERS = [
    ("notes/a.txt", b"Plain text."),
    ("b.md", b"# Title\n\nBody."),
    ("rows.jsonl", jsonl({"text": "one"}, {"text": "two"})),
    ("rows.csv", b"id,text\n1,three\n"),
    ("rows.parquet", parquet({"text": ["four"]})),
    ("page.html", b"<html><body><p>A paragraph of a page.</p></body></html>"),
]


def outcome(found):
    return [(item.uri, item.text, item.rejected_because) for item in found]


# Sound archives


@pytest.mark.parametrize("name", ARCHIVES)
def test_each_member_is_read_as_what_it_is_under_a_name_inside_the_archive(name):
    found = read(name, ARCHIVES[name](MEMBERS))
    assert outcome(found) == [
        (f"{name}!/notes/a.txt", "Plain text.", None),
        (f"{name}!/b.md", "# Title\n\nBody.", None),
        (f"{name}!/rows.jsonl#1", "one", None),
        (f"{name}!/rows.jsonl#2", "two", None),
        (f"{name}!/rows.csv#1", "three", None),
        (f"{name}!/rows.parquet#1", "four", None),
        (f"{name}!/page.html", "A paragraph of a page.", None),
    ]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize(("name", "content"), MEMBERS)
def test_a_compressed_file_is_read_as_what_it_holds(suffix, name, content):
    compressed = read(name + suffix, COMPRESSIONS[suffix](content))
    assert texts(compressed) == texts(read(name, content)) != []
    assert [item.title for item in compressed] == [item.title for item in read(name, content)]


def test_what_a_file_is_shows_in_its_bytes_and_not_in_its_name():
    assert texts(read("a.txt", gzip.compress(b"packed"))) == ["packed"]
    assert texts(read("a.gz", b"not packed at all")) == ["not packed at all"]
    assert texts(read("a.docx.bak", zipped([("x.txt", b"inside")]))) == ["inside"]


def test_hidden_members_and_folders_are_passed_over():
    members = [
        ("dir/", b""),
        (".hidden/a.txt", b"x"),
        ("__MACOSX/._a.txt", b"x"),
        ("b/.DS_Store", b"x"),
        ("a.txt", b"seen"),
    ]
    assert outcome(read("a.zip", zipped(members))) == [("a.zip!/a.txt", "seen", None)]


def test_two_members_of_one_name_are_both_read():
    members = [("a.txt", b"first"), ("a.txt", b"second")]
    with pytest.warns(UserWarning, match="Duplicate name"):
        assert texts(read("a.zip", zipped(members))) == ["first", "second"]
    assert texts(read("a.tar", tarred(members))) == ["first", "second"]


def test_names_need_not_be_latin():
    members = [("条約/ü — é.txt", b"text")]
    for name in ("a.zip", "a.tar"):
        assert [item.uri for item in read(name, ARCHIVES[name](members))] == [
            f"{name}!/条約/ü — é.txt"
        ]


def test_an_archive_without_members_is_said_to_be_empty():
    for name in ("a.zip", "a.tar", "a.tar.gz"):
        [item] = read(name, ARCHIVES[name]([(".hidden", b"x")]))
        assert (item.uri, item.text, item.rejected_because) == (name, None, "empty")
    [item] = read("a.zip", zipped([]))
    assert item.rejected_because == "empty"


# What is wrong with a member


@pytest.mark.parametrize(
    "name", ["/etc/cron.d/x.txt", "../../x.txt", "a/../../x.txt", "C:\\x.txt", "..\\..\\x.txt"]
)
@pytest.mark.parametrize("archive", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_path_that_leaves_the_archive_is_refused(archive, name):
    members = [(name, b"stray"), ("good.txt", b"good")]
    found = read(archive, ARCHIVES[archive](members))
    assert verdicts(found) == ["outside_source", None]
    assert texts(found) == ["good"]


def test_links_and_devices_inside_an_archive_are_refused():
    members = [
        (special("link.txt", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("hard.txt", tarfile.LNKTYPE, "good.txt"), b""),
        (special("device", tarfile.CHRTYPE), b""),
        (special("pipe", tarfile.FIFOTYPE), b""),
        ("good.txt", b"good"),
    ]
    found = read("a.tar", tarred(members))
    assert verdicts(found) == ["outside_source"] * 4 + [None]
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    found = read("a.zip", zipped([(link, b"/etc/passwd"), ("good.txt", b"good")]))
    assert verdicts(found) == ["outside_source", None]


def test_a_member_with_a_password_is_refused_as_encrypted():
    content = bytearray(zipped([("secret.txt", b"x" * 50), ("open.txt", b"open")]))
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    found = read("a.zip", bytes(content))
    assert verdicts(found) == ["encrypted", None]
    assert "password" in found[0].error


def test_a_damaged_member_costs_itself():
    noise = random.Random(1).randbytes(2000).hex().encode()
    content = bytearray(zipped([("bad.txt", noise), ("good.txt", b"good")]))
    content[500] ^= 0xFF
    found = read("a.zip", bytes(content))
    assert verdicts(found) == ["unreadable", None]
    assert found[0].uri == "a.zip!/bad.txt"


@pytest.mark.parametrize("inner", ["b.zip", "b.tar", "b.tar.gz", "b.txt.gz"])
@pytest.mark.parametrize("outer", ["a.zip", "a.tar.gz"])
def test_an_archive_inside_an_archive_is_refused_and_its_neighbour_read(outer, inner):
    nested = (ARCHIVES.get("a" + inner[1:]) or (lambda _: gzip.compress(b"x")))([("x.txt", b"x")])
    found = read(outer, ARCHIVES[outer]([(inner, nested), ("good.txt", b"good")]))
    assert verdicts(found) == ["unsafe_archive", None]


def test_what_is_compressed_twice_is_refused():
    [item] = read("a.txt.gz", gzip.compress(gzip.compress(b"text")))
    assert item.rejected_because == "unsafe_archive"
    [item] = read("a.zip.gz", gzip.compress(zipped([("a.txt", b"text")])))
    assert item.rejected_because == "unsafe_archive"


# What is wrong with the archive


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.zst", "a.tar"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_says_so_and_gives_no_wrong_text(name, share):
    noise = random.Random(1).randbytes(3000).hex().encode()
    whole = ARCHIVES[name]([("a.txt", noise), ("b.txt", noise[::-1])])
    found = read(name, whole[: int(len(whole) * share)])
    assert found
    assert set(texts(found)) <= {noise.decode(), noise[::-1].decode()}
    # The last blocks of a tar archive are empty: without them nothing is missing.
    assert "unreadable" in verdicts(found) or (name == "a.tar" and len(texts(found)) == 2)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_truncated_compressed_file_is_refused_as_a_whole_document(suffix, share):
    noise = random.Random(1).randbytes(3000).hex().encode()
    packed = COMPRESSIONS[suffix](noise)
    [item] = read("a.txt" + suffix, packed[: int(len(packed) * share)])
    assert (item.text, item.rejected_because) == (None, "unreadable")


def test_of_truncated_rows_those_before_the_end_are_kept():
    rows = jsonl(*({"text": random.Random(i).randbytes(100).hex()} for i in range(1000)))
    packed = gzip.compress(rows)
    found = read("a.jsonl.gz", packed[: len(packed) // 2])
    assert verdicts(found)[-1] == "unreadable"
    assert 100 < len(texts(found)) < 1000
    assert set(texts(found)) <= {random.Random(i).randbytes(100).hex() for i in range(1000)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*ARCHIVES]), st.data())
def test_no_damage_makes_reading_fail(name, data):
    content = bytearray(ARCHIVES[name](MEMBERS[:4]))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    found = read(name, bytes(content[:cut]))
    assert found
    assert all((item.text is None) == (item.rejected_because is not None) for item in found)


# Archives that swell

ZEROS = b"\0" * (1 << 20)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_bomb_ends_when_it_has_grown_beyond_the_ratio(suffix):
    # What is small cannot do harm, so a bomb has to be larger than that: 64 MiB.
    [item] = read("bomb.txt" + suffix, COMPRESSIONS[suffix](b" " * (65 << 20)))
    assert (item.rejected_because, item.text) == ("unsafe_archive", None)
    assert "limits.ratio" in item.error


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_many_members_together_are_one_bomb(name):
    members = [("first.txt", b"first"), *((f"{i}.bin", b" " * (8 << 20)) for i in range(9))]
    found = read(name, ARCHIVES[name](members), limits={"ratio": 2})
    assert texts(found)[0] == "first"
    assert "unsafe_archive" in verdicts(found)
    assert len(texts(found)) < 10


def test_an_archive_that_shrinks_much_but_is_small_is_no_bomb():
    assert texts(read("a.txt.gz", gzip.compress(b"word " * (1 << 20)))) == ["word " * (1 << 20)]


def test_an_archive_with_more_files_than_allowed_is_refused_from_there_on():
    members = [(f"{i}.txt", b"text %d" % i) for i in range(5)]
    for name in ("a.zip", "a.tar"):
        found = read(name, ARCHIVES[name](members), limits={"members": 3})
        assert verdicts(found) == [None, None, None, "unsafe_archive"]
        assert "limits.members" in found[-1].error


def test_members_that_overlap_are_not_read_again_and_again():
    """Thousands of entries may name one stretch of bytes: the bomb that is small on disk."""
    kernel = zipped([("a.txt", b"x" * 1000)])
    start = kernel.index(b"PK\x01\x02")
    end = kernel.index(b"PK\x05\x06")
    entry, tail = kernel[start:end], bytearray(kernel[end:])
    count = 300
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = (len(entry) * count).to_bytes(4, "little")
    found = read("a.zip", kernel[:start] + entry * count + bytes(tail))
    assert sum(len(text) for text in texts(found)) <= 1000 * count
    assert found
