"""The bytes of a file are those of one moment, or it is refused."""

import hashlib
import subprocess
import sys

import fsspec
import pytest

from bonito_assets.ingestion import snapshot
from bonito_assets.ingestion.files import SourceFile
from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.snapshot import INLINE_BYTES, take
from tests.ingestion.made import put


def local(path, size=None):
    return SourceFile(str(path), str(path), fsspec.filesystem("file"), size, root=str(path.parent))


def content(taken):
    return taken.content if isinstance(taken.content, bytes) else taken.content.read()


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 3 << 20])
def test_size_and_digest_are_those_of_the_bytes(tmp_path, size):
    written = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    taken = take(local(put(tmp_path, "a.bin", written)), 100)
    assert content(taken) == written
    assert (taken.size, taken.sha256) == (size, hashlib.sha256(written).hexdigest())


def test_small_files_are_held_and_large_ones_lie_in_a_file_without_a_name(tmp_path):
    assert isinstance(take(local(put(tmp_path, "a", b"x")), 100).content, bytes)
    large = take(local(put(tmp_path, "b", b"x" * (INLINE_BYTES + 1))), 100).content
    assert isinstance(large.name, int)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_file_above_the_limit_is_refused_with_the_key(tmp_path):
    path = put(tmp_path, "a", b"x" * 2_000_001)
    with pytest.raises(Refused, match=r"limits\.file_mb \(2\)") as refused:
        take(local(path), 2)
    assert refused.value.code == "too_large"
    assert take(local(path), 3).size == 2_000_001


def test_a_file_that_is_gone_is_refused_with_the_cause(tmp_path):
    with pytest.raises(Refused, match="could not be read: No such file"):
        take(local(tmp_path / "gone"), 1)


# Each state of the file holds one digit, and writes of it are one call of the system.
WRITERS = {
    "rewritten in place": "os.pwrite(file, state(n), 0)",
    "cut and rewritten": "os.ftruncate(file, 0); os.pwrite(file, state(n), 0)",
    "replaced": "p = path + str(n); open(p, 'wb').write(state(n)); os.rename(p, path)",
}
WRITER = """
import os, sys, time
path, lines, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
file = os.open(path, os.O_RDWR)
states = [(str(digit) * 63 + chr(10)).encode() * lines for digit in range(10)]
state = lambda n: states[n % 10]
n = 0
while True:
    n += 1
    {write}
    time.sleep(pause)
"""


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("lines", [500, 40_000])
def test_a_file_that_somebody_writes_to_is_whole_or_refused(tmp_path, monkeypatch, write, lines):
    monkeypatch.setattr(snapshot, "_PAUSES", (0.001, 0.002))
    path = put(tmp_path, "a.txt", (b"0" * 63 + b"\n") * lines)
    program = WRITER.format(write=WRITERS[write])
    command = [sys.executable, "-c", program, str(path), str(lines), "0.003"]
    writer = subprocess.Popen(command)
    outcomes = {"whole": 0, "refused": 0, "mixed": 0}
    try:
        while path.read_bytes()[:1] in (b"0", b""):  # until it writes
            assert writer.poll() is None
        for _ in range(20):
            try:
                found = content(take(local(path), 100))
            except Refused as refused:
                assert refused.code == "changed_while_read"
                outcomes["refused"] += 1
            else:
                whole = len(set(found)) == 2 and len(found) == 64 * lines
                # The moment between the two calls is a state of its own.
                whole |= found == b"" and write == "cut and rewritten"
                outcomes["whole" if whole else "mixed"] += 1
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
    assert outcomes["mixed"] == 0


class _Touching:
    """A file whose state is another one at each look."""

    def __init__(self, monkeypatch, path):
        real, self.looks = snapshot.os.fstat, 0

        def fstat(descriptor):
            self.looks += 1
            if self.looks % 2 == 0:
                with path.open("ab") as file:
                    file.write(b"more\n")
            return real(descriptor)

        monkeypatch.setattr(snapshot.os, "fstat", fstat)


def test_a_file_that_never_rests_is_refused_after_some_tries(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "_PAUSES", (0.001,) * 3)
    path = put(tmp_path, "a.log", b"first\n")
    touching = _Touching(monkeypatch, path)
    with pytest.raises(Refused, match="try again later") as refused:
        take(local(path), 1)
    assert refused.value.code == "changed_while_read"
    assert touching.looks >= 8


# Stores


class _Store(fsspec.AbstractFileSystem):
    protocol = "made"
    cachable = False

    def __init__(self, content=b"", fault=None, sizes=None):
        super().__init__()
        self._content, self._fault, self._sizes = content, fault, sizes

    def info(self, path, **_):
        size = self._sizes.pop(0) if self._sizes else None
        return {"name": path, "size": size, "type": "file"}

    def _open(self, path, mode="rb", **_):
        import io

        if self._fault:
            raise self._fault
        return io.BytesIO(self._content)

    def cat_file(self, path, **_):
        return self._open(path).read()


def test_a_store_need_not_tell_the_size_of_what_it_gives():
    written = b"x" * (5 << 20)
    taken = take(SourceFile("made://a", "a", _Store(written)), 100)
    assert content(taken) == written
    with pytest.raises(Refused, match=r"limits\.file_mb"):
        take(SourceFile("made://a", "a", _Store(written)), 5)


@pytest.mark.parametrize("fault", [PermissionError(13, "denied"), KeyError("denied")])
def test_whatever_a_store_raises_costs_the_one_file(fault):
    with pytest.raises(Refused, match=r"could not be read: .*denied") as refused:
        take(SourceFile("made://a", "a", _Store(fault=fault), size=10), 100)
    assert refused.value.code == "unreadable"


def test_an_object_that_changes_while_it_is_read_is_refused(monkeypatch):
    monkeypatch.setattr(snapshot, "_PAUSES", (0.001,) * 3)
    store = _Store(b"x" * 100, sizes=list(range(100)))
    with pytest.raises(Refused) as refused:
        take(SourceFile("made://a", "a", store), 100)
    assert refused.value.code == "changed_while_read"
