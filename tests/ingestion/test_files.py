"""A source is the files that its patterns name: each once, and none from outside."""

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bonito_assets.ingestion import snapshot
from bonito_assets.ingestion.files import SourceError, find_files
from bonito_assets.ingestion.formats.extracted import Refused
from tests.ingestion.made import corpus, put, table


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def uris(folder, files="in"):
    return [file.uri for file in find_files(corpus(folder, files)).files]


def refusals(folder, files="in"):
    """Gives code by uri of the files that are not handed out, whether by listing or by reading."""
    found = {}
    for file in find_files(corpus(folder, files)).files:
        try:
            if file.refusal:
                raise Refused("outside_source", file.refusal)
            snapshot.take(file, 1)
        except Refused as refused:
            found[file.uri] = refused.code
    return found


# Patterns


@pytest.mark.parametrize(
    "files",
    ["in", "in/", "./in", "in/*.txt", "in/[ab].txt", "in/?.txt", "in/**/*.txt", "in/../in/*.txt"],
)
def test_a_folder_and_a_glob_find_the_same_files(folder, files):
    put(folder, "in/b.txt", "b")
    put(folder, "in/a.txt", "a")
    assert uris(folder, files) == ["in/a.txt", "in/b.txt"]


def test_a_folder_is_searched_to_the_bottom_and_one_star_is_one_level(folder):
    put(folder, "in/a.txt", "a")
    put(folder, "in/one/b.txt", "b")
    put(folder, "in/one/two/c.txt", "c")
    assert uris(folder, "in") == ["in/a.txt", "in/one/b.txt", "in/one/two/c.txt"]
    assert uris(folder, "in/*") == ["in/a.txt"]
    assert uris(folder, "in/*/*.txt") == ["in/one/b.txt"]
    assert uris(folder, "in/**/c.*") == ["in/one/two/c.txt"]


def test_files_named_by_several_patterns_come_once_in_the_order_of_their_uris(folder):
    put(folder, "in/b.txt", "b")
    put(folder, "in/a.txt", "a")
    assert uris(folder, ["in/b.txt", "in/*", "in"]) == ["in/a.txt", "in/b.txt"]


@pytest.mark.parametrize("name", ["a [1].txt", "what?.txt", "a*.txt", "a&b #1 %20.txt", "-x.txt"])
def test_a_name_with_glob_characters_is_found_as_it_stands(folder, name):
    put(folder, f"in/{name}", "text")
    assert uris(folder, f"in/{name}") == [f"in/{name}"]
    assert uris(folder, "in") == [f"in/{name}"]


def test_hidden_files_are_counted_and_left_alone_but_a_hidden_parent_is_not(folder):
    put(folder, "in/.secret.txt", "x")
    put(folder, "in/.git/config", "x")
    put(folder, "in/.git/HEAD", "x")
    put(folder, "in/a.txt", "a")
    put(folder, ".cache/in/b.txt", "b")
    listing = find_files(corpus(folder))
    assert [file.uri for file in listing.files] == ["in/a.txt"]
    assert listing.hidden == 3
    assert uris(folder, ".cache/in") == [".cache/in/b.txt"]


@pytest.fixture
def deep_folder():
    """Python cannot delete what it cannot recurse into, so the folder is no `tmp_path`."""
    name = tempfile.mkdtemp()
    yield Path(name)
    subprocess.run(["rm", "-r", name], check=True)


def test_a_tree_deeper_than_python_recurses_is_searched_all_the_same(deep_folder):
    (deep_folder / "in").mkdir()
    here = os.open(deep_folder / "in", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("a.txt", os.O_CREAT, dir_fd=here))
    os.close(here)
    assert uris(deep_folder) == [f"in/{'d/' * 1200}a.txt"]


def test_a_name_that_is_not_utf_8_is_a_file_like_another(folder):
    with open(os.fsencode(folder / "in") + b"/caf\xe9.txt", "w") as file:  # noqa: PTH123
        file.write("latin name")
    put(folder, "in/new\nline.txt", "a line end in a name")
    found = table(corpus(folder))
    assert [(row["uri"], row["text"]) for row in found] == [
        ("in/caf\\xe9.txt", "latin name"),
        ("in/new\nline.txt", "a line end in a name"),
    ]


def test_a_name_and_the_text_of_an_odd_name_are_two_files(folder):
    with open(os.fsencode(folder / "in") + b"/caf\xe9.txt", "w") as file:  # noqa: PTH123
        file.write("latin name")
    put(folder, "in/caf\\xe9.txt", "a name with a backslash")
    put(folder, "in/caf\\xe9.txt~2", "a name that is taken, too")
    found = {row["uri"]: row["text"] for row in table(corpus(folder, ["in", "in/*"]))}
    assert found == {
        "in/caf\\xe9.txt": "a name with a backslash",
        "in/caf\\xe9.txt~2": "a name that is taken, too",
        "in/caf\\xe9.txt~3": "latin name",
    }


def test_uris_do_not_depend_on_where_the_project_lies(tmp_path):
    for place in ("one", "two"):
        put(tmp_path, f"{place}/project/in/a.txt", "text")
        put(tmp_path, f"{place}/beside/b.txt", "text")
    wanted = ["in", "../beside/*.txt"]
    one, two = (uris(tmp_path / place / "project", wanted) for place in ("one", "two"))
    assert one == two == ["../beside/b.txt", "in/a.txt"]


def test_an_absolute_pattern_gives_absolute_uris(folder):
    path = put(folder, "in/a.txt", "text")
    assert uris(folder, str(path)) == uris(folder, str(folder / "in")) == [str(path)]


# What is no file of the source


def test_a_link_that_stays_inside_is_read_and_one_that_leaves_is_refused(folder):
    put(folder, "in/a.txt", "inside")
    put(folder, "elsewhere/secret.txt", "outside")
    (folder / "in/inner.txt").symlink_to("a.txt")
    (folder / "in/outer.txt").symlink_to("../elsewhere/secret.txt")
    (folder / "in/system.txt").symlink_to("/etc/passwd")
    assert uris(folder) == ["in/a.txt", "in/inner.txt", "in/outer.txt", "in/system.txt"]
    assert refusals(folder) == {
        "in/outer.txt": "outside_source",
        "in/system.txt": "outside_source",
    }


def test_links_to_folders_are_not_followed_and_loops_end(folder):
    put(folder, "in/sub/a.txt", "a")
    put(folder, "elsewhere/secret.txt", "outside")
    (folder / "in/again").symlink_to("sub")
    (folder / "in/sub/up").symlink_to("..")
    (folder / "in/away").symlink_to("../elsewhere")
    (folder / "in/self").symlink_to("self")
    assert uris(folder) == ["in/away", "in/self", "in/sub/a.txt"]
    assert refusals(folder) == {"in/away": "outside_source", "in/self": "unreadable"}


def test_a_glob_that_would_go_through_a_link_that_leaves_says_so(folder):
    for name in ("in/a/notes/a.txt", "elsewhere/notes/b.txt", "elsewhere/deep/notes/c.txt"):
        put(folder, name, name)
    (folder / "in/b").symlink_to("../elsewhere")
    (folder / "in/a/other").symlink_to("../../elsewhere")
    (folder / "in/c.txt").symlink_to("../elsewhere/notes/b.txt")
    found = {
        "in/*/notes/*.txt": ["in/b"],
        "in/?/notes/*.txt": ["in/b"],
        "in/**/notes/*.txt": ["in/a/other", "in/b"],
        "in/a*/notes/*.txt": [],
        "in/*/*/c.txt": ["in/a/other", "in/b"],
    }
    for pattern, refused in found.items():
        files = ["in/a/notes", pattern]
        assert refusals(folder, files) == dict.fromkeys(refused, "outside_source"), pattern
        assert uris(folder, files) == sorted(["in/a/notes/a.txt", *refused])


def test_a_file_that_becomes_a_link_after_the_listing_is_refused(folder):
    path = put(folder, "in/a.txt", "inside")
    put(folder, "elsewhere/secret.txt", "outside")
    [file] = find_files(corpus(folder)).files
    path.unlink()
    path.symlink_to("../elsewhere/secret.txt")
    with pytest.raises(Refused, match="leaves the source") as refused:
        snapshot.take(file, 1)
    assert refused.value.code == "outside_source"


def test_whoever_names_a_link_means_what_it_points_to(folder):
    put(folder, "elsewhere/a.txt", "text")
    (folder / "in/link.txt").symlink_to("../elsewhere/a.txt")
    (folder / "linked").symlink_to("elsewhere")
    assert refusals(folder, ["in/link.txt", "linked"]) == {}


def test_pipes_sockets_and_broken_links_are_refused_without_waiting(folder):
    import socket

    os.mkfifo(folder / "in/pipe.txt")
    (folder / "in/broken.txt").symlink_to("gone.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "in/socket"))
        put(folder, "in/a.txt", "a")
        assert refusals(folder) == {
            "in/broken.txt": "unreadable",
            "in/pipe.txt": "unreadable",
            "in/socket": "unreadable",
        }


@contextmanager
def as_nobody():
    """Root may read everything, so the tests step down for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_file_without_permission_is_refused_with_the_cause(open_folder):
    put(open_folder, "in/a.txt", "a").chmod(0)
    (open_folder / "in").chmod(0o755)
    with as_nobody():
        [file] = find_files(corpus(open_folder)).files
        with pytest.raises(Refused, match="Permission denied"):
            snapshot.take(file, 1)


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_folder(open_folder):
    put(open_folder, "in/a.txt", "a")
    put(open_folder, "in/closed/b.txt", "b")
    (open_folder / "in").chmod(0o755)
    (open_folder / "in/closed").chmod(0)
    try:
        with as_nobody(), pytest.raises(SourceError, match="in/closed cannot be listed"):
            uris(open_folder)
    finally:
        (open_folder / "in/closed").chmod(0o755)


# What is no source


@pytest.mark.parametrize(
    ("files", "fragment"),
    [
        ("none", "does not exist"),
        ("in/none.txt", "does not exist"),
        ("in/*.none", "matches no file"),
        ("none/*.txt", "matches no file"),
        ("in", "is a folder without files"),
        (["full", "in"], "is a folder without files"),
        ("in/a**b", r"'\*\*' can only be"),
    ],
)
def test_a_pattern_that_names_nothing_is_an_error_that_names_the_key(folder, files, fragment):
    put(folder, "full/a.txt", "a")
    put(folder, "in/.hidden", "")
    with pytest.raises(SourceError, match=fragment) as error:
        uris(folder, files)
    assert "source.files" in str(error.value)


@pytest.mark.parametrize(
    "files",
    [
        "http://example.org/a.txt",
        "ftp://example.org/a.txt",
        "sftp://example.org/a.txt",
        "zip://a.txt::in/a.zip",
        "filecache::memory://bucket/a.txt",
        "simplecache::https://example.org/a.txt",
        "github://org:repo@main/a.txt",
        "local://in/a.txt",
    ],
)
def test_other_kinds_of_url_are_refused_before_anything_is_fetched(folder, files):
    with pytest.raises(SourceError, match=r"source\.files: .* is of a kind that is not read"):
        uris(folder, files)


# Stores


@pytest.fixture
def bucket():
    memory = fsspec.filesystem("memory")
    yield memory
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize("files", ["memory://bucket/in", "memory://bucket/in/**/*.txt"])
def test_a_store_is_listed_like_a_folder(folder, bucket, files):
    bucket.pipe({"/bucket/in/b.txt": b"b", "/bucket/in/s/a.txt": b"a", "/bucket/in/.x.txt": b"x"})
    listing = find_files(corpus(folder, files))
    assert [file.uri for file in listing.files] == [
        "memory:///bucket/in/b.txt",
        "memory:///bucket/in/s/a.txt",
    ]
    assert listing.hidden == 1
    assert snapshot.take(listing.files[0], 1).content == b"b"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ("in/*", ["b.txt"]),
        ("in/*/*.txt", ["s/a.txt"]),
        ("in/?/*/c.*", ["s/t/c.txt"]),
        ("in/**/c.*", ["s/t/c.txt"]),
        ("i*/*.txt", ["b.txt"]),
        ("in/b.txt", ["b.txt"]),
        ("in/", ["b.txt", "s/a.txt", "s/t/c.txt"]),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_pattern_means_the_same_in_a_store(folder, bucket, monkeypatch, files, names, at_once):
    if not at_once:
        monkeypatch.setattr(MemoryFileSystem, "find", fsspec.AbstractFileSystem.find)
    for name in ("b.txt", "s/a.txt", "s/t/c.txt"):
        bucket.pipe(f"/bucket/in/{name}", b"x")
    found = [f"memory:///bucket/in/{name}" for name in names]
    assert uris(folder, f"memory://bucket/{files}") == found


@pytest.mark.parametrize("fault", [PermissionError("403"), OSError("timeout"), RuntimeError("x")])
@pytest.mark.parametrize("files", ["in", "in/*/*.txt", "in/**/*.txt"])
@pytest.mark.parametrize("closed", ["/bucket/in", "/bucket/in/s"])
def test_a_store_that_cannot_be_listed_is_an_error_and_not_fewer_files(
    folder, bucket, monkeypatch, fault, files, closed
):
    bucket.pipe({"/bucket/in/b/a.txt": b"b", "/bucket/in/s/a.txt": b"a"})
    listed = MemoryFileSystem.ls

    def ls(self, path, detail=True, **options):
        if path.rstrip("/") == closed:
            raise fault
        return listed(self, path, detail, **options)

    monkeypatch.setattr(MemoryFileSystem, "find", fsspec.AbstractFileSystem.find)
    monkeypatch.setattr(MemoryFileSystem, "ls", ls)
    message = rf"source\.files: 'memory:///bucket/{re.escape(files)}' cannot be listed: .*{fault}"
    with pytest.raises(SourceError, match=message):
        uris(folder, f"memory://bucket/{files}")


def test_a_store_that_cannot_be_listed_at_once_is_an_error_too(folder, bucket, monkeypatch):
    bucket.pipe("/bucket/in/a.txt", b"a")

    def find(*_, **__):
        raise PermissionError("403")

    monkeypatch.setattr(MemoryFileSystem, "find", find)
    with pytest.raises(SourceError, match=r"bucket/in' cannot be listed: PermissionError: 403"):
        uris(folder, "memory://bucket/in")


def test_a_store_without_such_a_file_is_an_error(folder, bucket):
    bucket.pipe({"/bucket/in/b.txt": b"b"})
    for files in ("memory://bucket/none", "memory://bucket/in/*.none"):
        with pytest.raises(SourceError, match=r"source\.files"):
            uris(folder, files)
