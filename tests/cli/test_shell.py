"""What shells, and programs that start others, have behind stdin: a request takes what is meant for it, and no more."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REQUESTS = "add\nsort\nprint\n"
GEN = """
import json, sys
from diffucli import cli
cli._open_what_is_closed()
from diffucli.cli.report import Report
from diffucli.cli.request import GenInput
words = [word for word in sys.argv[1:] if word != "--no-stdin"]
request, contexts = GenInput(*words, no_stdin="--no-stdin" in sys.argv).parts(Report())
print(json.dumps([request, *(context.text for context in contexts)]))
"""


@pytest.fixture
def gen() -> str:
    """The words of a shell that print what `diffu gen` makes of its arguments and stdin; no model is needed for it."""
    Path("gen.py").write_text(GEN)
    Path("reqs").write_text(REQUESTS)
    return shlex.join([sys.executable, str(Path("gen.py").absolute())])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('while read q; do GEN "$q"; done < reqs', [["add"], ["sort"], ["print"]]),
        ("""dash -c 'while read q; do GEN "$q"; done < reqs'""", [["add"], ["sort"], ["print"]]),
        ('cat reqs | while read q; do GEN "$q" --no-stdin; done', [["add"], ["sort"], ["print"]]),
        ("xargs -n1 GEN < reqs", [["add"], ["sort"], ["print"]]),
        ("{ GEN one; GEN two; } < reqs", [["one", REQUESTS.strip()], ["two"]]),
        ("{ read q; GEN; } < reqs", [["sort\nprint"]]),
        ("cat reqs | GEN 'tests for this'", [["tests for this", REQUESTS.strip()]]),
        ("GEN 'tests for this' <<END\na = 1\nEND", [["tests for this", "a = 1"]]),
        ("GEN x <&-", [["x"]]),
        ("GEN x </dev/null", [["x"]]),
        ("GEN x & wait", [["x"]]),
        ("find . -name reqs -exec GEN {} ';'", [["./reqs"]]),
    ],
)
def test_a_request_takes_of_stdin_what_is_meant_for_it(gen, line, expected):
    if shutil.which(line.split()[0]) is None and line.startswith("dash"):
        pytest.skip("dash is not installed")
    argv = ["bash", "-c", line.replace("GEN", gen)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert [json.loads(told) for told in done.stdout.splitlines()] == expected, done.stderr.decode()


def test_a_script_on_stdin_is_not_read_by_its_own_command(gen):
    Path("script").write_text(f"{gen} one\n{gen} two\n")
    with Path("script").open() as script:
        done = subprocess.run(["bash"], stdin=script, capture_output=True, check=True)
    assert done.stdout.splitlines() == [b'["one"]', b'["two"]']


def test_a_socket_is_read_as_the_request_or_by_its_name_and_told_of_otherwise(gen):
    for words, expected, told in (
        ([], ["a = 1"], b""),
        (["x"], ["x"], b"diffu: stdin is a socket, which is read only if it is named (-c - reads it as context)\n"),
        (["x", "--no-stdin"], ["x"], b""),
    ):
        ours, its = socket.socketpair()
        with ours, its:
            ours.sendall(b"a = 1\n")
            ours.shutdown(socket.SHUT_WR)
            done = subprocess.run([*shlex.split(gen), *words], stdin=its, capture_output=True, check=True)
        assert (json.loads(done.stdout), done.stderr) == (expected, told)


NODE = """
const {spawn} = require("child_process");
const [words, sent] = [JSON.parse(process.argv[1]), process.argv[2]];
const child = spawn(words[0], words.slice(1), {stdio: ["pipe", "inherit", "inherit"]});
if (sent) child.stdin.end(sent);
child.on("exit", code => process.exit(code));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize(
    ("words", "sent", "expected"),
    [(["x"], "", ["x"]), ([], "a = 1\n", ["a = 1"]), (["-"], "a = 1\n", ["a = 1"])],
)
def test_a_child_of_node_whose_stdin_never_ends_reads_it_only_where_it_is_the_request(gen, words, sent, expected):
    argv = json.dumps([*shlex.split(gen), *words])
    done = subprocess.run(["node", "-e", NODE, argv, sent], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == expected
