"""A file as it was read."""

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.edit import source
from diffucli.errors import UsageError

TEXT_BYTES = st.one_of(
    st.binary(),
    st.text().map(str.encode),
    st.text().map(lambda text: codecs.BOM_UTF8 + text.encode()),
    st.text().map(lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le")),
    st.text().map(lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be")),
    st.tuples(
        st.sampled_from(["latin-1", "cp1252", "shift_jis", "utf-7", "iso-2022-jp", "idna", "utf-16-le", "utf-8-sig"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.binary(),
    ).map(lambda parts: f"# -*- coding: {parts[0]} -*-{parts[1]}".encode() + parts[2]),
)


@settings(deadline=None)
@given(TEXT_BYTES)
def test_what_is_read_is_written_back_to_the_byte_or_refused(raw):
    try:
        read = source.from_bytes(raw)
    except UsageError:
        return
    assert read.encode(read.text) == raw
    assert read.raw == raw


@settings(deadline=None)
@given(st.text().filter(lambda text: "\0" not in text and "coding" not in text and not text.startswith("\ufeff")))
def test_every_text_in_utf_8_can_be_read(text):
    assert source.from_bytes(text.encode()).text == text


@pytest.mark.parametrize(
    ("bom", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_the_byte_order_mark_decides_and_stays_out_of_the_text(bom, encoding):
    read = source.from_bytes(bom + "naïve\r\n".encode(encoding))
    assert (read.bom, read.encoding, read.text) == (bom, encoding, "naïve\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"# -*- coding: latin-1 -*-\n",
        b"#!/usr/bin/python\n# vim: set fileencoding=latin-1 :\n",
        b"\n# coding=latin-1-unix\n",
        b"\r# coding: latin-1\r",
    ],
)
def test_a_coding_comment_in_the_first_two_lines_counts(head):
    read = source.from_bytes(head + b"name = '\xe9'\n", Path("a.py"))
    assert read.encoding == "iso8859-1"
    assert read.text.endswith("name = 'é'\n")


@pytest.mark.parametrize("name", [None, "tool", "a.py", "a.PY", "a.pyi", "a.pyw"])
def test_a_coding_comment_counts_in_python_and_in_text_without_a_suffix(name):
    read = source.from_bytes(b"# coding: latin-1\n\xe9\n", name and Path(name))
    assert (read.encoding, read.text) == ("iso8859-1", "# coding: latin-1\né\n")


@pytest.mark.parametrize("name", ["a.js", "a.txt", "a.py.bak"])
def test_elsewhere_a_coding_comment_does_not_count(name):
    with pytest.raises(UsageError, match="not valid utf-8"):
        source.from_bytes(b"# coding: latin-1\n\xe9\n", Path(name))


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "utf-8-sig", "utf-8-unix"])
def test_the_names_of_utf_8_are_one(name):
    read = source.from_bytes(f"# coding: {name}\n".encode(), Path("a.py"))
    assert (read.encoding, read.bom) == ("utf-8", b"")


@pytest.mark.parametrize("head", [b"x = 1\n# coding: latin-1\n", b"\n\n# coding: latin-1\n"])
def test_a_coding_comment_further_down_does_not_count(head):
    with pytest.raises(UsageError, match="not valid utf-8"):
        source.from_bytes(head + b"\xe9", Path("a.py"))


def test_a_coding_comment_is_a_matter_of_python():
    text = b"# On coding: the basics\n"
    assert source.from_bytes(text, Path("notes.md")).encoding == "utf-8"
    assert source.from_bytes(text).encoding == "utf-8"
    with pytest.raises(UsageError, match="'the', which is no encoding") as refusal:
        source.from_bytes(text, Path("a.py"))
    assert refusal.value.hint == "correct the comment, or convert the file to UTF-8"


@pytest.mark.parametrize("codec", ["rot13", "hex", "utf-7", "utf-16-le", "unicode_escape", "undefined", "nonsense"])
def test_a_codec_that_is_none_for_source_code_is_refused(codec):
    with pytest.raises(UsageError, match="no encoding for source code"):
        source.from_bytes(f"# coding: {codec}\nx = 1\n".encode(), Path("a.py"))


def test_bytes_that_would_not_come_back_are_refused():
    with pytest.raises(UsageError, match="would not survive a rewrite") as refusal:
        source.from_bytes(b"# coding: iso-2022-jp\nx = '\x1b(B\x1b(B'\n", Path("a.py"))
    assert refusal.value.hint == "convert the file to UTF-8 first"


def test_an_error_of_a_codec_that_knows_no_place_is_told_without_one():
    with pytest.raises(UsageError, match=r"^a\.py: is not valid idna$"):
        source.from_bytes(b"# coding: idna\nx = '" + b"a" * 80 + b".b'", Path("a.py"))


def test_a_character_that_the_encoding_cannot_hold_is_named():
    read = source.from_bytes(b"# coding: latin-1\n", Path("a.py"))
    with pytest.raises(UsageError, match=r"a\.py: '→' \(U\+2192\) cannot be written in iso8859-1") as refusal:
        read.encode("x → y")
    assert refusal.value.hint == "convert the file to UTF-8 first"


def test_half_a_surrogate_pair_is_named_too():
    with pytest.raises(UsageError, match=r"U\+D800"):
        source.from_bytes(b"").encode("\ud800")


@pytest.mark.parametrize(
    ("text", "newline"),
    [
        ("", "\n"),
        ("a", "\n"),
        ("a\nb\n", "\n"),
        ("a\r\nb\r\nc\n", "\r\n"),
        ("a\nb\nc\r\n", "\n"),
        ("a\rb\r", "\r"),
        ("a\r\nb\n", "\n"),
    ],
)
def test_the_newline_is_the_most_frequent_one_and_the_text_keeps_all(text, newline):
    read = source.from_bytes(text.encode())
    assert (read.newline, read.text) == (newline, text)


@pytest.mark.parametrize("raw", [b"\x7fELF\0\0", b"\xff\0\xfe", b"a\0b", codecs.BOM_UTF16_LE + b"a\0\0\0"])
def test_binary_is_refused(raw):
    with pytest.raises(UsageError, match=r"tool: is binary, not text$") as refusal:
        source.from_bytes(raw, Path("tool"))
    assert refusal.value.hint == "name a source file"


def test_utf_16_that_is_broken_is_not_called_binary():
    with pytest.raises(UsageError, match="tool: is not valid utf-16-le from byte 2 on"):
        source.from_bytes(codecs.BOM_UTF16_LE + b"a\0\0\xd8", Path("tool"))


def test_stdin_is_called_stdin():
    with pytest.raises(UsageError, match="stdin: is not valid utf-8 from byte 1 on"):
        source.from_bytes(b"a\xe9b")


def test_a_file_is_read_through_a_symlink(tmp_path):
    (tmp_path / "real.py").write_bytes(b"x = 1\r\n")
    (tmp_path / "link.py").symlink_to("real.py")
    read = source.read(tmp_path / "link.py")
    assert (read.path, read.text) == (tmp_path / "link.py", "x = 1\r\n")


def test_what_cannot_be_read_is_refused_in_one_line_with_a_hint(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for name, message, hint in (
        ("missing", "no such file", "check the path, or create the file first"),
        (".", "is a directory", "name a file in it"),
        ("pipe", "is not a regular file", "give its content on stdin and '-' as the file"),
        ("file/below", "Not a directory", "check the path"),
        ("loop", "Too many levels of symbolic links", "check the path"),
    ):
        with pytest.raises(UsageError) as refusal:
            source.read(tmp_path / name)
        assert (refusal.value.message, refusal.value.hint) == (f"{tmp_path / name}: {message}", hint)


def test_a_file_that_may_not_be_read_is_refused(open_folder, unprivileged):
    (open_folder / "secret.py").write_text("x")
    (open_folder / "secret.py").chmod(0)
    code = """
        try:
            source.read(Path(sys.argv[1]))
        except DiffuError as refusal:
            print(refusal)
    """
    assert unprivileged(code, open_folder / "secret.py").endswith("secret.py: may not be read")


def test_ten_megabytes_are_the_bound(tmp_path):
    (tmp_path / "large").write_bytes(b"a" * 10_000_000)
    assert len(source.read(tmp_path / "large").text) == 10_000_000
    with (tmp_path / "large").open("ab") as file:
        file.write(b"a")
    with pytest.raises(UsageError, match="larger than 10 MB"):
        source.read(tmp_path / "large")
    with pytest.raises(UsageError, match="stdin: larger than 10 MB"):
        source.from_bytes(b"a" * 10_000_001)
