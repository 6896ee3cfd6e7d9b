"""Repair: only what is wrong is written again, and a version counts only if fewer faults are left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.decode.loop import alone, ask
from diffucli.decode.policy import PRESETS, repair_policy
from diffucli.edit import source
from diffucli.events import Finished, Started, fold
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.syntax.languages import by_name
from diffucli.tasks import repair
from diffucli.tasks.attempt import Attempt, faults, token_offsets
from diffucli.tasks.critics import NewText, depth, warnings_of
from diffucli.tasks.engine import constraints_of
from diffucli.tasks.fill import fill
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.tasks.prompt import Layout, answer
from diffucli.tasks.repair import MOST_EDITS, MOST_ROUNDS, TAILS, Edit, edits_of, repaired, tails_of
from diffucli.tasks.verify import verify_answer
from diffucli.tasks.write import Decoding, HoleText, RunOutput, composed, default_decode

POLICY, PYTHON = PRESETS["balanced"], by_name("python")


def output_of(checkpoint: Any, *tokens: list[int], ended: bool = True) -> RunOutput:
    """As if these tokens had been written into the holes of an answer, each with a log-probability of its own."""
    tokenizer = checkpoint.tokenizer
    holes = tuple(HoleText(tuple(each), tuple(-0.01 * (i + 1) for i in range(len(each))), ended) for each in tokens)
    layout = answer(tokenizer, "do it", length=4)
    first = layout.holes[0].start
    spans = [replace(layout.holes[0], start=first + 5 * i, stop=first + 5 * i + 4) for i in range(len(tokens))]
    between = [tokenizer.mask] * 4 + tokenizer.encode("#")[:1]
    laid = (*layout.tokens[:first], *(between * len(tokens)))
    return RunOutput(replace(layout, tokens=laid, holes=tuple(spans)), holes, 4, 0, 1.0, 0.0)


def reader(checkpoint: Any):
    """Reads the text of the first hole as a Python program."""

    def read(written: RunOutput) -> Attempt:
        tokens = written.holes[0].tokens
        text = checkpoint.tokenizer.decode(tokens)
        check = verify_answer(text, PYTHON, "error")
        warnings = () if check.faults else warnings_of("", text, [NewText(0, len(text))], PYTHON)
        offsets = (token_offsets(checkpoint.tokenizer, tokens, start=0),)
        return Attempt(text, (text,), True, check, written, warnings, offsets, depth(text, PYTHON, check))

    return read


def decoding_of(checkpoint: Any, decode: Any = default_decode) -> Decoding:
    policy = repair_policy(POLICY)
    found = constraints_of(checkpoint, policy, ends=frozenset(), forbidden=checkpoint.tokenizer.specials, min_tokens=[])
    return Decoding(checkpoint, policy, found, decode)


@pytest.fixture
def versions_of(checkpoint: Any, result_of: Any):
    """versions_of(text, decode, rounds=2): the versions of a text."""

    def versions(text: str, decode: Any, *, rounds: int = 2) -> list[Attempt]:
        read = reader(checkpoint)
        first = read(output_of(checkpoint, checkpoint.tokenizer.encode(text)))
        return result_of(repaired(decoding_of(checkpoint, decode), first, read, rounds=rounds))

    return versions


def best(versions: list[Attempt]) -> Attempt:
    return min(versions, key=faults)


@pytest.mark.parametrize("text", ["x = 1\n", "def f(a):\n    return a\n"])
def test_a_clean_attempt_is_never_touched(checkpoint, scripted, versions_of, text):
    decode = scripted(checkpoint, "y")
    assert [each.text for each in versions_of(text, decode)] == [text]
    assert decode.repairs == decode.canvases == []


@pytest.mark.parametrize(
    "case",
    [
        ("def add(a, b:\n    return a + b\n", ")", "def add(a, b):\n    return a + b\n"),
        ("def f(xs):\n    return xs[0\n", "]", "def f(xs):\n    return xs[0]\n"),
        ("x = 3\nif x\n    x = 1\n", ":", "x = 3\nif x:\n    x = 1\n"),
        ("x = 1 + * 2\n", "(", "x = 1 +  2\n"),
        ("x = (1) )\n", "=", "x = (1) "),
    ],
)
def test_one_token_that_is_missing_or_too_much_is_found(checkpoint, scripted, versions_of, case):
    """The decoding knows one token alone, so all of the rest is what it was."""
    text, token, mended = case
    versions = versions_of(text, scripted(checkpoint, "y", repair=token))
    assert best(versions).is_clean
    assert best(versions).text == mended


def test_a_version_is_the_best_only_with_fewer_faults(checkpoint, scripted, versions_of):
    versions = versions_of("def f(:\n    pass\n", scripted(checkpoint, "y", repair="="))
    assert len(versions) > 1
    assert min(versions, key=faults) is versions[0] or faults(best(versions)) < faults(versions[0])


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
def test_as_many_rounds_may_go_by_without_progress(checkpoint, scripted, versions_of, monkeypatch, rounds):
    """Each looks further than the one before."""
    widths = []
    monkeypatch.setattr(repair, "edits_of", lambda _, __, *, width: widths.append(width) or [Edit(0, 1, 1, 1)])
    versions = versions_of("= = =\n", scripted(checkpoint, "y", repair="="), rounds=rounds)
    assert widths == list(range(rounds))
    assert len(versions) == rounds + 1
    assert best(versions) is versions[0]


def test_progress_begins_anew_and_ends_at_the_most_rounds(checkpoint, result_of, monkeypatch):
    """A text of more errors than rounds, each of which is mended in one."""
    texts = ["x = ]\n" * count for count in range(2 * MOST_ROUNDS, 0, -1)]
    read, widths = reader(checkpoint), []
    monkeypatch.setattr(repair, "edits_of", lambda _, __, *, width: widths.append(width) or [Edit(0, 0, 0, 1)])
    coming = iter(texts[1:])

    def next_text(written: RunOutput) -> Attempt:
        found = read(output_of(checkpoint, checkpoint.tokenizer.encode(next(coming))))
        return replace(found, written=written)

    first = read(output_of(checkpoint, checkpoint.tokenizer.encode(texts[0])))
    versions = result_of(repaired(decoding_of(checkpoint), first, next_text, rounds=2))
    assert len(versions) == MOST_ROUNDS + 1
    assert widths == [0] * MOST_ROUNDS


def test_a_warning_is_worth_one_round(checkpoint, scripted, versions_of):
    versions = versions_of("x = zz\n", scripted(checkpoint, "y", repair="q"), rounds=2)
    assert len(versions) == 2
    assert best(versions) is versions[0]
    versions = versions_of("x = zz\n", scripted(checkpoint, "y", repair="1"), rounds=2)
    assert best(versions).is_clean


@pytest.mark.parametrize(
    ("edit", "tokens", "logprobs", "cost"),
    [
        (Edit(0, 1, 1, 1), [7, 5, 8], [0.0, -0.25, 0.0], 0.25),
        (Edit(0, 1, 1, 2), [7, 5, 6, 8], [0.0, -0.25, -0.75, 0.0], 0.5),
        (Edit(0, 1, 2, 1), [7, 5], [0.0, -0.25], 1.25),
        (Edit(0, 1, 2, 2), [7, 8, 5], [0.0, -0.25, -0.75], 0.5),
        (Edit(0, 0, 1, 0), [8], [0.0], 1.0),
    ],
    ids=["insert", "insert two", "replace", "write again with more", "delete"],
)
def test_an_edit_costs_what_it_writes_and_what_it_loses(checkpoint, edit, tokens, logprobs, cost):
    """The mean improbability of the new tokens, and a nat for each old one that is not among them."""
    read = reader(checkpoint)
    before, after = read(output_of(checkpoint, [7, 8])), output_of(checkpoint, tokens)
    after = replace(after, holes=(HoleText(tuple(tokens), tuple(logprobs)),))
    assert repair._cost(before, read(after), edit) == cost


def test_all_edits_of_a_round_are_paid_for(checkpoint, scripted, versions_of):
    decode = scripted(checkpoint, "y", repair=")")
    versions = versions_of("x = (1\n", decode)
    assert [each.written.nfe for each in versions] == [1.0, 2 * len(decode.repairs)]


def test_an_undefined_name_does_not_come_back(checkpoint, scripted, versions_of):
    decode = scripted(checkpoint, "y", repair="1")
    versions_of("x = zz\n", decode)
    assert decode.repairs
    tokens = checkpoint.tokenizer.encode("x = zz\n")
    attempt = reader(checkpoint)(output_of(checkpoint, tokens))
    for edit in edits_of(attempt, checkpoint.tokenizer, width=0):
        assert edit.other
        assert "zz" in checkpoint.tokenizer.decode(tokens[edit.start : edit.stop])


@pytest.mark.parametrize("width", [0, 1, 2])
@pytest.mark.parametrize(
    "text",
    [
        "def add(a, b:\n    return a + b\n",
        "def f(x)\n    return x\n",
        "if x:\nreturn 1\n",
        "x = 1\n  y = 2\n",
        "(",
        "x = 1\n" * 20 + "for\n" + "y = 2\n" * 20,
    ],
)
def test_edits_are_few_different_and_near_the_fault(checkpoint, text, width):
    attempt = reader(checkpoint)(output_of(checkpoint, checkpoint.tokenizer.encode(text)))
    edits = edits_of(attempt, checkpoint.tokenizer, width=width)
    assert 0 < len(edits) <= MOST_EDITS
    assert len(set(edits)) == len(edits)
    offsets, fault = attempt.offsets[0], attempt.diagnostics[0]
    line = text.count("\n", 0, fault.start)
    for edit in edits:
        assert edit.hole == 0
        assert 0 <= edit.start <= edit.stop <= len(offsets) - 1
        assert edit.masks or edit.stop > edit.start, "an edit changes something"
        touched = [text.count("\n", 0, offsets[place]) for place in (edit.start, edit.stop)]
        assert all(abs(each - line) <= 2 + 2 * width for each in touched)


def test_no_edit_empties_a_hole(checkpoint):
    attempt = reader(checkpoint)(output_of(checkpoint, checkpoint.tokenizer.encode("(")))
    assert all(edit.masks for edit in edits_of(attempt, checkpoint.tokenizer, width=1))


def test_an_empty_answer_has_nothing_to_repair(checkpoint, result_of):
    read = reader(checkpoint)
    first = read(output_of(checkpoint, []))
    assert not first.is_clean
    assert result_of(repaired(decoding_of(checkpoint), first, read, rounds=2)) == [first]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(x):\n    y = x\n      return y\n", "def f(x):\n    y = x\n    return y\n"),
        ("  def f(x):\n    return x\n", "def f(x):\n    return x\n"),
        ("def f(x):\nreturn x\n", "def f(x):\n    return x\n"),
        (
            "def f(x):\n    if x:\n         x = 1\n        x = 2\n",
            "def f(x):\n    if x:\n        x = 1\n        x = 2\n",
        ),
        ("def f(x):\n    y = x\nreturn y\n", "def f(x):\n    y = x\n    return y\n"),
    ],
)
def test_other_indentations_of_a_line_are_tried_as_they_are(checkpoint, text, expected):
    tokenizer = checkpoint.tokenizer
    tokens = tokenizer.encode(text)
    attempt = reader(checkpoint)(output_of(checkpoint, tokens))
    edits = edits_of(attempt, tokenizer, width=0)
    assert all(edit.given or not edit.masks for edit in edits)
    results = {tokenizer.decode([*tokens[: e.start], *e.given, *tokens[e.stop :]]) for e in edits}
    assert expected in results


def test_the_network_judges_a_given_edit_and_writes_nothing_else(checkpoint, versions_of, result_of):
    text = "def f(x):\n    y = x\n      return y\n"
    first, second = versions_of(text, default_decode)
    assert second.text.split() == text.split()
    assert second.is_clean
    hole, before = second.written.holes[0], {0.0, *first.written.logprobs}
    layout = composed(second.written.layout, second.written.holes)
    start = layout.holes[0].start
    new = [i for i, logprob in enumerate(hole.logprobs) if logprob not in before]
    assert new
    logprobs, _ = result_of(ask(layout.tokens, [start + i for i in new], checkpoint.tokenizer.mask), checkpoint.network)
    expected = [float(logprobs[row, hole.tokens[i]]) for row, i in enumerate(new)]
    assert [hole.logprobs[i] for i in new] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "kept", "lost"),
    [
        ("def f(x):\n    return max(x, ke\n", "def f(x):\n    return max(x,", "\n"),
        ("def f(x):\n    return max(x, ke", "def f(x):\n    return max(x,", ""),
        ("def f(x)\n    return x\n", "def f", "    return x\n"),
        ("de\n    return x\n", "", "    return x\n"),
    ],
)
def test_the_end_of_a_cut_line_is_written_again_in_many_lengths(checkpoint, text, kept, lost):
    """Every edit keeps what is before the last tokens of the line, and all lines below."""
    tokenizer = checkpoint.tokenizer
    tokens = tokenizer.encode(text)
    edits = tails_of(reader(checkpoint)(output_of(checkpoint, tokens)))
    assert {edit.masks for edit in edits} == set(TAILS)
    for edit in edits:
        assert tokenizer.decode(tokens[: edit.start]).startswith(kept)
        assert tokenizer.decode(tokens[edit.stop :]) == lost.removeprefix("\n")


def test_a_text_without_syntax_errors_has_no_end_to_write_again(checkpoint):
    text = "def f(x):\n    return y\n"
    attempt = reader(checkpoint)(output_of(checkpoint, checkpoint.tokenizer.encode(text)))
    assert attempt.diagnostics
    assert tails_of(attempt) == []


@given(data=st.data())
@settings(max_examples=60)
def test_the_tokens_outside_an_edit_stay_with_their_log_probabilities(checkpoint, data):
    """Whatever is edited in whichever of several holes; and the events add up to the canvas."""
    ids = st.lists(st.integers(5, 200), min_size=1, max_size=8)
    before = output_of(checkpoint, *data.draw(st.lists(ids, min_size=1, max_size=3)), ended=data.draw(st.booleans()))
    number = data.draw(st.integers(0, len(before.holes) - 1))
    old = before.holes[number]
    start = data.draw(st.integers(0, len(old.tokens)))
    stop = data.draw(st.integers(start, len(old.tokens)))
    masks = data.draw(st.integers(0 if stop - start < len(old.tokens) else 1, 4))
    other = data.draw(st.booleans()) and masks > 0 and stop > start
    edit = Edit(number, start, stop, masks, other)
    if masks == 0 and start == stop:
        return
    events, run = [], alone(checkpoint.network, repair._try(decoding_of(checkpoint), before, edit))
    try:
        while True:
            events.append(next(run))
    except StopIteration as end:
        after = end.value
    new = after.holes[number]
    assert (len(new.tokens), new.ended) == (len(old.tokens) - (stop - start) + masks, old.ended)
    assert len(new.logprobs) == len(new.tokens)
    behind = len(old.tokens) - stop
    for mine, theirs in ((new.tokens, old.tokens), (new.logprobs, old.logprobs)):
        assert mine[:start] == theirs[:start]
        assert mine[len(mine) - behind :] == theirs[stop:]
    assert checkpoint.tokenizer.mask not in new.tokens
    assert not other or new.tokens[start] != old.tokens[start]
    assert [hole for i, hole in enumerate(after.holes) if i != number] == [
        hole for i, hole in enumerate(before.holes) if i != number
    ]
    assert (after.layout, after.masks) == (before.layout, before.masks)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert fold(events) == events[-1].tokens


def test_a_layout_of_several_holes_keeps_what_stands_between_them(checkpoint):
    found: Layout = output_of(checkpoint, [7], [8]).layout
    assert found.tokens[found.holes[0].stop] == found.tokens[found.holes[1].stop]


MENDED = [
    ("def add(a, b:\n    return a + b\n", "def add(a, b):\n    return a + b\n"),
    ("def f(x)\n    return x * 2\n", "def f(x):\n    return x * 2\n"),
    ("def first(items):\n    return items[0\n", "def first(items):\n    return items[0]\n"),
    (
        "def sign(x):\n    if x\n        return 1\n    return 0\n",
        "def sign(x):\n    if x:\n        return 1\n    return 0\n",
    ),
    (
        "def positive(xs):\n    return [x for x in xs if x > 0\n",
        "def positive(xs):\n    return [x for x in xs if x > 0]\n",
    ),
    (
        "def total(xs):\n    s = 0\n    for x in xs\n        s += x\n    return s\n",
        "def total(xs):\n    s = 0\n    for x in xs:\n        s += x\n    return s\n",
    ),
    ("def double(x):\n    y = x * 2\n      return y\n", "def double(x):\n    y = x * 2\n    return y\n"),
]


@pytest.fixture(scope="module")
def mini():
    folder = registry.find("mini").folder
    if not (folder / "model.safetensors").exists():
        pytest.skip("mini is not trained yet")
    return load(folder, device="cpu")


@pytest.mark.parametrize(("broken", "mended"), MENDED, ids=[mended.split("\n")[0] for _, mended in MENDED])
def test_mini_mends_a_program_that_lacks_a_token(mini, result_of, broken, mended):
    """The whole program is a region to be mended."""
    (job,) = jobs_of([(source.from_bytes(broken.encode()), Path("x.py"))], Wanted((f"1:{broken.count(chr(10))}",)))
    regions = tuple(replace(region, mend=True) for region in job.targets.regions)
    job = replace(job, targets=replace(job.targets, regions=regions))
    result = result_of(fill(mini, job, POLICY), mini.network).result
    assert (result.text, result.ok) == (mended, True)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        (
            "def add(a, b:\n    return a + b\n  def double(x):\n    return 2 * x\n",
            "def add(a, b):\n    return a + b\ndef double(x):\n    return 2 * x\n",
        ),
        (
            "def total(items):\n    result = 0\n    for item in items\n        result += item\n     return result\n",
            "def total(items):\n    result = 0\n    for item in items:\n        result += item\n    return result\n",
        ),
    ],
)
def test_mini_mends_errors_whose_statements_overlap(mini, result_of, broken, mended):
    (job,) = jobs_of([(source.from_bytes(broken.encode()), Path("x.py"))], Wanted((":errors",)))
    result = result_of(fill(mini, job, POLICY), mini.network).result
    assert (result.text, result.ok) == (mended, True)


def test_lines_with_errors_are_not_joined_to_have_fewer(mini, result_of):
    broken = (
        "class A:\n    def f(self, x:\n        return [x\n    def g(self)\n        return (1\n\n"
        "      def h(self):\n        pass\n"
    )
    (job,) = jobs_of([(source.from_bytes(broken.encode()), Path("x.py"))], Wanted((":errors",)))
    result = result_of(fill(mini, job, POLICY), mini.network).result
    assert (result.text.count("\n"), result.ok) == (broken.count("\n"), True)
