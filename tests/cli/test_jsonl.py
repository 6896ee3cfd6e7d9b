"""docs/trace.schema.json describes what --jsonl prints, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diffucli.events import Resized
from diffucli.trace import file
from diffucli.trace.form import LineWriter, to_json

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "trace.schema.json").read_text())
TYPES = {"object": dict, "array": list, "string": str, "null": type(None), "integer": int, "number": (int, float)}


def fits(value: Any, schema: dict[str, Any]) -> bool:  # noqa: PLR0911 — a keyword, a line
    """Whether `value` is as `schema` says; the keywords that our schema has, and no others."""
    known = {"$schema", "$defs", "title", "description", "oneOf", "$ref", "type", "const", "enum", "minimum", "items"}
    assert schema.keys() <= known | {"minItems", "maxItems", "properties", "required", "additionalProperties"}
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "oneOf" in schema:
        return sum(fits(value, each) for each in schema["oneOf"]) == 1
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and (isinstance(value, bool) or not any(isinstance(value, TYPES[name]) for name in names)):
        return False
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    if isinstance(value, list):
        low, high = schema.get("minItems", 0), schema.get("maxItems", len(value))
        return low <= len(value) <= high and all(fits(each, schema.get("items", {})) for each in value)
    if isinstance(value, dict):
        own, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        others = [each for key, each in value.items() if key not in own]
        return (
            set(schema.get("required", ())) <= value.keys()
            and all(fits(each, own[key]) for key, each in value.items() if key in own)
            and (not others if more is False else all(fits(each, more) for each in others))
        )
    return not isinstance(value, int | float) or value >= schema.get("minimum", value)


@pytest.mark.parametrize(
    "argv",
    [
        ["gen", "x", "--length", "24", "--verify", "warn", "--seed", "1"],
        ["gen", "x", "--length", "12", "-n", "3", "--temp", "0.7", "--pick", "all", "--verify", "warn"],
        ["gen", "x", "--length", "12", "--preset", "exact"],
        ["fill", "a.py", "b.py", "--check", "--verify", "warn", "--seed", "2"],
    ],
)
def test_what_a_run_prints_is_as_the_schema_says(diffu, loaded, argv):
    """On the golden checkpoint, whose texts are noise: repairs, candidates, several files, and an error."""
    for name in ("a.py", "b.py"):
        Path(name).write_text("x = ???\ny = ???2\n")
    done = diffu(*argv, "--jsonl")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line for line in lines if not fits(line, SCHEMA)] == []
    assert {"job", "pieces", "started", "stepped", "finished"} <= {line.get("event") for line in lines}
    assert lines[-1]["status"] == done.code
    assert ("sample" in done.out.decode()) == ("-n" in argv)


def test_a_change_of_length_is_as_the_schema_says():
    event = Resized(3, -1, ((1, 4),), 2)
    (line,) = LineWriter(lambda _: b"").lines(event)
    assert fits(json.loads(to_json(line)), SCHEMA)


def test_a_kept_trace_is_as_the_schema_says():
    kept = ROOT / "tests" / "data" / "traces" / "schema-1.jsonl.xz"
    assert all(fits(json.loads(line), SCHEMA) for line in file.lines_of(file.content(kept), "kept"))


@pytest.mark.parametrize(
    "change",
    [
        {"event": "dance"},
        {"positions": ["1"]},
        {"positions": [-1]},
        {"tokens": None},
        {"logprobs": {}},
        {"window": [1]},
        {"colour": "red"},
        {"ms": 1.5},
    ],
)
def test_another_line_is_not(change):
    line = {"event": "stepped", "positions": [1], "tokens": [2], "logprobs": [-0.5], "window": [0, 4], "ms": 3}
    assert fits(line, SCHEMA)
    assert not fits(line | change, SCHEMA)
