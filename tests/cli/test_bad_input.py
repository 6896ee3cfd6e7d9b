"""Every row of docs/bad-input.md is true, and the page has no others.

`python tests/cli/test_bad_input.py > docs/bad-input.md` writes the page anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
HEAD = """# Bad input

What a bad input gets: one line on stderr that names the trouble and, in brackets, a remedy; an exit code; never a traceback.
A text that does not parse is shown above its line.
With `--json` the same is an object on stdout, `{"schema": "diffu.error/1", "status": 2, "error": …, "hint": …}`, whose status
is the exit code. `…` stands for words that vary.

This page is written by `python tests/cli/test_bad_input.py > docs/bad-input.md`, and every row of it is tested.

| input | what is said | exit code |
|---|---|---|
"""
TAIL = """
The files: `good.py` parses; `hole.py` holds a `???`; `broken.py` does not parse; `latin.py` is Latin-1 without a coding
comment; `data.bin` is binary; `big.py` is larger than 10 MB; `long.py` has 5,000 lines; `notes.txt` is prose;
`empty.txt` is empty; `classes.py` has the methods `Cfg.load` and `Db.load`; `locked.py` is read-only; `folder` is a folder; `pipe` is a named pipe; `damaged` is a
checkpoint folder whose config.json was cut off; `llama` and `qwen2` are checkpoints of other networks; `rank0`, `dora`, `strange`, `pickled` and `wide` are folders with an
adapter: of rank 0, with DoRA, for layers of another network, with a pickle, and for a model twice as wide.

What is in none of the rows above should not happen; if it does, it is one line too: `diffu: internal error: … (set DIFFU_DEBUG=1
for the traceback)`, exit code 70.
"""


@dataclass(frozen=True)
class Row:
    """What is typed, the line that is said, the exit code.

    stdin: bytes piped in. answer: what the model writes. loads: the trouble shows only when the model is there.
    """

    typed: str
    line: str
    code: int = 2
    stdin: bytes | None = None
    answer: str = ""
    loads: bool = False

    def markdown(self) -> str:
        piped = f", stdin `{self.stdin!r}`" if self.stdin is not None else ""
        answered = f", the model writes `{self.answer.strip()}`" if self.answer else ""
        typed = self.typed.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        typed, line = (text.replace("|", "\\|") for text in (typed, self.line))
        return f"| `{typed}`{piped}{answered} | `` {line} `` | {self.code} |"


ROWS = [
    Row("diffu nope", "diffu: No such command 'nope' (diffu --help)"),
    Row("diffu gen --nope", "diffu: No such option: --nope (Possible options: --model, --top-p) (diffu gen --help)"),
    Row(
        "diffu gen a b",
        'diffu: Got unexpected extra argument(s) (b) (put the request in quotes: diffu gen "write a quicksort")',
    ),
    Row("diffu gen", 'diffu: there is no request (say what to write: diffu gen "write a quicksort")'),
    Row('diffu gen ""', 'diffu: the request is empty (say what to write, such as "write a quicksort")'),
    Row('diffu gen "   "', 'diffu: the request is empty (say what to write, such as "write a quicksort")'),
    Row(
        "diffu gen -",
        'diffu: the request in stdin is empty (say what to write, such as "write a quicksort")',
        stdin=b" \n",
    ),
    Row(
        "diffu gen",
        "diffu: stdin: is not valid utf-8 from byte 0 on (convert it, e.g. iconv -f latin1 -t utf-8; Python files may name another encoding in a coding comment)",
        stdin=b"\xff",
    ),
    Row("diffu gen", "diffu: stdin: is binary, not text (name a source file)", stdin=b"a\x00b"),
    Row("diffu gen caf\udce9", "diffu: the request is not valid UTF-8 (write it in UTF-8, or put it into a file)"),
    Row("diffu gen x -f good.py", "diffu: a PROMPT and -f are two requests (give one of them; more files go to -c)"),
    Row(
        "diffu gen -f empty.txt",
        'diffu: the request in empty.txt is empty (say what to write, such as "write a quicksort")',
    ),
    Row("diffu gen - -c -", "diffu: stdin can be read only once (name it - in one place)", stdin=b"x"),
    Row("diffu gen x -c nowhere.py", "diffu: nowhere.py: no such file (check the path, or create the file first)"),
    Row("diffu gen x -c folder", "diffu: folder: is a directory (name a file in it)"),
    Row("diffu gen x -c pipe", "diffu: pipe: is not a regular file (give its content on stdin and '-' as the file)"),
    Row("diffu gen x -c data.bin", "diffu: data.bin: is binary, not text (name a source file)"),
    Row(
        "diffu gen x -c latin.py",
        "diffu: latin.py: is not valid utf-8 from byte 5 on (convert it, e.g. iconv -f latin1 -t utf-8; Python files may name another encoding in a coding comment)",
    ),
    Row("diffu gen x -c big.py", "diffu: big.py: larger than 10 MB (give the part that matters on stdin)"),
    Row(
        "diffu gen x -c long.py",
        "diffu: prompt and canvas are … tokens long, more than the … the model can take (give it less context, a smaller region or a smaller --length)",
        loads=True,
    ),
    Row(
        "diffu gen x -n 0",
        "diffu: Invalid value for '-n' / '--candidates': Input should be greater than or equal to 1 (diffu gen --help)",
    ),
    Row("diffu gen x --test ''", 'diffu: --test names no command (such as --test "pytest -q")'),
    Row(
        "diffu gen x --test 'echo bad; exit 4'",
        "diffu: the text failed the test (exit status 4); nothing was written (more candidates (-n 8) may have one that passes; -v shows what the test says)",
        3,
        answer="x = 1\n```",
    ),
    Row(
        "diffu fill hole.py --pick all -w",
        "diffu: --pick all does not go with -w, --diff, --check or --ask (use -o, or leave it out)",
    ),
    Row("diffu fill hole.py --ask", "diffu: --ask needs a file to write (add -w or -o FILE)"),
    Row(
        "diffu fill hole.py -w --ask",
        "diffu: --ask needs a terminal on stdin, where the answers are typed (leave it out)",
    ),
    Row("diffu gen x -l klingon", "diffu: no language is named `klingon` (use one of: python, …)"),
    Row("diffu gen x -o nowhere/x.py", "diffu: nowhere/x.py: its folder does not exist (mkdir -p …/nowhere)"),
    Row("diffu gen x -o folder", "diffu: …/folder: is a folder (name a file in it)"),
    Row("diffu gen x -o new/", "diffu: 'new/' is no name of a file (add one to it, such as new/answer.py)"),
    Row("diffu gen x -o ''", "diffu: '' is no name of a file (add one to it, such as answer.py)"),
    Row("diffu gen x -o locked.py", "diffu: locked.py: is read-only (chmod u+w locked.py, or write elsewhere with -o)"),
    Row(
        "diffu gen x --length 0",
        "diffu: Invalid value for '--length': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --length many",
        "diffu: Invalid value for '--length': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --length 60000",
        "diffu: prompt and canvas are … tokens long, more than the … the model can take (give it less context, a smaller region or a smaller --length)",
        loads=True,
    ),
    Row(
        "diffu gen x --temp hot",
        "diffu: Invalid value for '--temp': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --temp -1",
        "diffu: Invalid value for '--temp': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --temp nan",
        "diffu: Invalid value for '--temp': … (diffu gen --help)",
    ),
    Row("diffu gen x --top-p 0", "diffu: --top-p 0 is no share (give a number above 0, at most 1)"),
    Row("diffu gen x --top-p nan", "diffu: Invalid value for '--top-p': it is not a number (diffu gen --help)"),
    Row(
        "diffu gen x --steps 0",
        "diffu: Invalid value for '--steps': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --seed -1",
        "diffu: Invalid value for '--seed': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --fps 0",
        "diffu: Invalid value for '--fps': … (diffu gen --help)",
    ),
    Row(
        "diffu gen x --preset best",
        "diffu: Invalid value for '--preset': 'best' is not one of 'balanced', 'fast', 'exact', 'factor', 'entropy-bound', 'p2', 'published' (diffu gen --help)",
    ),
    Row(
        "diffu gen x --alg margin",
        "diffu: --alg margin ranks for a schedule, and the preset balanced commits by confidence (add --preset exact)",
    ),
    Row(
        "diffu gen x --alg-temp 0.1",
        "diffu: --alg-temp needs a ranked schedule (add --preset exact, without --alg origin)",
    ),
    Row("diffu gen x --device tpu", "diffu: no device 'tpu' here (use --device cpu, or auto)"),
    Row("diffu gen x -m no-such-model", "diffu: there is no model 'no-such-model' and no folder of that name (…)", 4),
    Row("diffu gen x -m folder", "diffu: folder is no checkpoint: it lacks config.json (name a checkpoint folder)", 4),
    Row(
        "diffu gen x --adapter nowhere",
        "diffu: there is no adapter 'nowhere' and no folder of that name (name a folder, or diffu model pull MODEL --adapter org/name)",
        4,
    ),
    Row(
        "diffu gen x --adapter ''",
        "diffu: . is no adapter: it lacks adapter_config.json (name a folder or a repository with a LoRA adapter in peft's layout)",
        4,
    ),
    Row(
        "diffu model pull mini --adapter lab/unknown",
        "diffu: mini is part of diffu, there is nothing to pull (diffu model pull diffucoder)",
        4,
    ),
    Row(
        "diffu eval --adapter lab/unknown",
        "diffu: the adapter lab/unknown is not pulled yet (diffu model pull MODEL --adapter lab/unknown)",
        4,
    ),
    Row(
        "diffu fill hole.py --adapter folder",
        "diffu: folder is no adapter: it lacks adapter_config.json (name a folder or a repository with a LoRA adapter in peft's layout)",
        4,
    ),
    Row(
        "diffu gen x --adapter rank0",
        "diffu: rank0/adapter_config.json cannot be used (the rank of an update must be a positive number, not 0) (fetch the checkpoint again)",
        4,
    ),
    Row(
        "diffu gen x --adapter dora",
        "diffu: dora sets use_dora to True, which diffu does not support (use an adapter that was made without it)",
        4,
    ),
    Row(
        "diffu gen x --adapter strange",
        "diffu: strange: target_modules ['c_attn'] name no layer of the model (it was made for openai/gpt-2)",
        4,
    ),
    Row(
        "diffu gen x --adapter pickled",
        "diffu: pickled holds a pickle (adapter_model.bin), which can run code (use the safetensors version)",
        4,
    ),
    Row(
        "diffu gen x --adapter wide",
        "diffu: wide: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight has shape [4, 128], the model and adapter_config.json ask for [4, 64] (it was made for apple/DiffuCoder-7B-Instruct)",
        4,
    ),
    Row(
        "diffu model pull diffucoder --adapter ./folder",
        "diffu: ./folder is a folder, and an adapter in a folder is used as it is (leave it out, and add --adapter ./folder to gen and fill)",
    ),
    Row(
        "diffu gen x -m damaged",
        "diffu: damaged/config.json is not JSON (…) (fetch the checkpoint again)",
        4,
    ),
    Row(
        "diffu gen x",
        "diffu: the answer does not parse: line 1: invalid syntax; nothing was written (ask for one function at a time, or see the text with --verify warn)",
        3,
        answer="def f(:\n",
    ),
    Row(
        "diffu gen x",
        "diffu: the answer holds no code; nothing was written (say what the code does and what it is called, such as: a function add(a, b) that returns the sum)",
        3,
        answer="Sorry\n",
    ),
    Row("diffu fill", "diffu: there is no file to fill (name one, or pipe text into it)"),
    Row("diffu fill nowhere.py", "diffu: nowhere.py: no such file (check the path, or create the file first)"),
    Row("diffu fill good.py", "diffu: good.py: there is no ???, and no region is named (name one, such as -r 10:40)"),
    Row("diffu fill good.py good.py -w", "diffu: good.py is named twice (name each file once)"),
    Row(
        "diffu fill hole.py good.py -o out.py",
        "diffu: several files do not fit into one output (add -w, --diff, --check or --json)",
    ),
    Row(
        "diffu fill good.py broken.py -r :todo -w",
        "diffu: none of the 2 files holds what to fill (see diffu fill --help for -r)",
    ),
    Row("diffu fill notes.txt -r 1", "diffu: notes.txt: its language is not known (say it with -l)"),
    Row("diffu fill hole.py -w --diff", "diffu: -w, -o, --diff and --check exclude each other (give one of them)"),
    Row(
        "diffu fill hole.py -p ''",
        'diffu: the instruction (-p) is empty (say what to write, such as "write a quicksort")',
    ),
    Row("diffu fill locked.py -w", "diffu: locked.py: is read-only (chmod u+w locked.py, or write elsewhere with -o)"),
    Row(
        "diffu fill - -w",
        "diffu: -w cannot write stdin back (leave it out; the text goes to stdout)",
        stdin=b"x = ???\n",
    ),
    Row(
        "diffu fill good.py -r 1 --length many",
        "diffu: --length many: no such length (write 8 for eight tokens, 1-40 for one to forty)",
    ),
    Row(
        "diffu fill good.py -r 1 --length 0",
        "diffu: --length 0: no such length (write 8 for eight tokens, 1-40 for one to forty)",
    ),
    Row(
        "diffu fill good.py -r 1 --length 1-5000",
        "diffu: --length 1-5000: a hole holds at most 1024 tokens (write a smaller number)",
    ),
    Row("diffu fill good.py -r 99", "diffu: good.py: region 99: the file has 2 lines (write a line from 1 to 2)"),
    Row("diffu fill good.py -r 0", "diffu: good.py: region 0: lines count from 1 (the file has 2 lines)"),
    Row(
        "diffu fill good.py -r 2:1",
        "diffu: good.py: region 2:1 ends before it starts; the file has 2 lines (write the smaller line first; columns are written 10:5-12:20)",
    ),
    Row(
        "diffu fill good.py -r 1:1-1:99",
        "diffu: good.py: region 1:1-1:99: line 1 has 11 columns (columns count from 1)",
    ),
    Row(
        "diffu fill good.py -r 1 -r 1:2", "diffu: good.py: regions 1 and 1:2 overlap (name each part of the file once)"
    ),
    Row(
        "diffu fill good.py -r man", "diffu: good.py: no symbol is named `man`; did you mean `main`? (there are: main)"
    ),
    Row(
        "diffu fill classes.py -r load",
        "diffu: classes.py: 2 symbols are named `load`; did you mean `Cfg.load` or `Db.load`? (write its whole name, as in `-r Cfg.load`)",
    ),
    Row("diffu fill good.py 1:2", "diffu: 1:2: no such file; did you mean -r 1:2? (regions are named with -r)"),
    Row(
        "diffu fill good.py:1:2",
        "diffu: good.py:1:2: is it a column or a line behind line 1? (write good.py:1 for the line, good.py:1-2 for lines 1 to 2)",
    ),
    Row("diffu fill nowhere.py:3", "diffu: nowhere.py: no such file (check the path, or create the file first)"),
    Row(
        "diffu fill good.py::man",
        "diffu: good.py: no symbol is named `man`; did you mean `main`? (there are: main)",
    ),
    Row(
        "diffu fill good.py -r '?'",
        "diffu: good.py: region '?' is of no known form (write 10:40, 10,+30, 10:5-12:20, a symbol such as Cfg.load, :errors, :todo or :marks)",
    ),
    Row(
        "diffu fill good.py -r :todo",
        "diffu: good.py: region :todo: there is none in the file (name lines or a symbol instead)",
    ),
    Row(
        "diffu fill good.py -r :errors",
        "diffu: good.py: region :errors: there is none in the file (name lines or a symbol instead)",
    ),
    Row(
        "diffu fill broken.py -r :marks",
        "diffu: broken.py: line 1: diffu:begin without a diffu:end (add a diffu:end below it)",
    ),
    Row(
        "diffu fill - -v",
        "diffu: <stdin>: ???0 in line 1: no such length (write ???8 for eight tokens, ???1-40 for one to forty)",
        stdin=b"x = ???0\n",
    ),
    Row(
        "diffu fill - -v",
        "diffu: <stdin>: ???9999 in line 1: a hole holds at most 1024 tokens (write a smaller number)",
        stdin=b"x = ???9999\n",
    ),
    Row(
        "diffu fill - --hole -v -l bash",
        "diffu: <stdin>: there is no ???, and no region is named (name one, such as -r 10:40)",
        stdin=b"ls\n",
    ),
    Row(
        "diffu fill - -v -l bash",
        "diffu: <stdin>: every ??? stands where it is legal, so it is no hole (add --hole, or a region)",
        stdin=b"ls ???\n",
    ),
    Row(
        "diffu fill hole.py",
        "diffu: hole.py:1:5: '(' was never closed; nothing was written (give it another size with --length, such as 1-20, or see the text with --verify warn)",
        3,
        answer="(",
    ),
    Row(
        "diffu fill broken.py -r :errors --length 9",
        "diffu: broken.py:2:7: invalid syntax; nothing was written (name the lines with -r to write them anew, or see the text with --verify warn)",
        3,
        answer="def f(:",
    ),
    Row(
        "diffu gen x --preset published",
        "diffu: nobody published settings for this model (use balanced, fast or exact)",
    ),
    Row(
        "diffu gen x --max-length 9",
        "diffu: --max-length is for models whose holes grow, and this one's do not (use --length)",
    ),
    Row(
        "diffu fill hole.py --expand-budget 9",
        "diffu: --expand-budget is for models whose holes grow, and this one's do not (use --length)",
    ),
    Row(
        "diffu gen x -m llama",
        "diffu: llama cannot be run (model_type 'llama'): neither its architectures nor its auto_map name a DiffCoder, so it is no diffusion model (…)",
        4,
    ),
    Row(
        "diffu gen x -m qwen2",
        "diffu: qwen2 cannot be run (model_type 'qwen2'): its tokenizer names no mask token, so it is no diffusion model (…)",
        4,
    ),
    Row("diffu check", "diffu: there is no file to check (name one, or pipe text into it)"),
    Row("diffu check notes.txt", "diffu: notes.txt: its language is not known (say it with -l)"),
    Row("diffu undo", "diffu: there is nothing to undo (diffu undo --list shows past writes)"),
    Row("diffu undo zzzz", "diffu: there is no write 'zzzz' (none is kept)"),
    Row("diffu undo --redo", "diffu: there is nothing to redo (diffu undo --list shows past writes)"),
    Row("diffu undo --list zzzz", "diffu: --list goes alone (leave out the id, --redo and --force)"),
    Row("diffu model show no-such-model", "diffu: there is no model 'no-such-model' and no folder of that name (…)", 4),
]


def page() -> str:
    return HEAD + "".join(row.markdown() + "\n" for row in ROWS) + TAIL


@pytest.fixture
def files() -> None:
    """The files that the page names."""
    texts = {
        "good.py": "def main():\n    return 1\n",
        "hole.py": "x = ???\n",
        "broken.py": "# diffu:begin\ndef f(:\n",
        "latin.py": "x = '\xe9'\n",
        "data.bin": "".join(map(chr, range(256))),
        "long.py": "x = 1\n" * 5000,
        "classes.py": "".join(f"class {name}:\n    def load(self): ...\n" for name in ("Cfg", "Db")),
        "notes.txt": "prose\n",
        "empty.txt": "",
        "locked.py": "x = ???\n",
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="latin-1")
    Path("locked.py").chmod(0o444)
    with Path("big.py").open("wb") as big:
        big.truncate(11_000_000)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("damaged").mkdir()
    Path("damaged/config.json").write_text('{"model_type": "Dre')
    for name in ("llama", "qwen2"):
        Path(name).mkdir()
        Path(name, "config.json").write_text(json.dumps({"model_type": name}))
        Path(name, "tokenizer_config.json").write_text("{}")
    _write_adapters()


def _write_adapters() -> None:
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    settings["base_model_name_or_path"] = "apple/DiffuCoder-7B-Instruct"
    strange = {"target_modules": ["c_attn"], "base_model_name_or_path": "openai/gpt-2"}
    folders = {"rank0": {"r": 0}, "dora": {"use_dora": True}, "strange": strange, "pickled": {}, "wide": {}}
    for name, changes in folders.items():
        Path(name).mkdir()
        Path(name, "adapter_config.json").write_text(json.dumps(settings | changes))
    Path("pickled/adapter_model.bin").write_bytes(b"")
    layers = [f"base_model.model.model.layers.{i}.self_attn.q_proj" for i in range(3)]
    shapes = {"A": (4, 128), "B": (128, 4)}
    tensors = {
        f"{layer}.lora_{part}.weight": np.zeros(shape, "f") for layer in layers for part, shape in shapes.items()
    }
    save_file(tensors, "wide/adapter_model.safetensors")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.typed.encode("ascii", "replace").decode())
def test_a_bad_input_gets_its_line_and_exit_code(diffu, files, row: Row, request):
    if row.answer:
        request.getfixturevalue("says")(*[row.answer + ("```" if "gen" in row.typed else "")] * 2)
    elif row.loads:
        request.getfixturevalue("loaded")
    argv = shlex.split(row.typed)[1:]
    done = diffu(*argv, stdin=row.stdin)
    pattern = ".*".join(re.escape(part) for part in row.line.split("…"))
    assert (done.code, bool(re.fullmatch(pattern, done.lines[-1]))) == (row.code, True), done.err
    assert len(done.lines) == 1 or row.answer
    if "-" in argv or "nope" in argv:  # a filter echoes instead; no command, no flag
        return
    told = json.loads(diffu(*argv, "--json", stdin=row.stdin).out)
    assert (told["schema"], told["status"]) == ("diffu.error/1", row.code)
    assert f"diffu: {told['error']} ({told['hint']})" == done.lines[-1]


def test_the_page_has_just_these_rows():
    assert PAGE.read_text(encoding="utf-8") == page(), "python tests/cli/test_bad_input.py > docs/bad-input.md"


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())
