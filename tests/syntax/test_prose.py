"""In comments, strings and the like any text may stand; nowhere else."""

from __future__ import annotations

import re

import pytest

from diffucli.syntax import languages, prose
from diffucli.syntax.languages import by_name

# In each text H stands where code is expected, and F where any text may stand.
TEXTS = {
    "python": [
        "x = H  # F",
        "f(H, 'F', r'F', b'F')",
        '"""\nF\n"""',
        "f'F {H} {x:F}'",
        "def H(): pass",
        "import H",
        "x = ä, H, 'ä F'",
    ],
    "javascript": [
        "#!/usr/bin/F",
        "let x = H; // F",
        "/* F */",
        "`F ${H} F`",
        "'F'",
        '<a b="F">F{H}</a>',
        "/F/.test(H)",
    ],
    "typescript": ["let x: H = 1", "type A = `F`", '"F" // F'],
    "tsx": ["let x = <a>F</a>;"],
    "go": ["package a\nvar x = H // F", 'package a\nvar x = "F"', "package a\nvar x = `F`", "package a\nvar x = 'F'"],
    "rust": [
        "fn f() { H } // F",
        "/// F\nfn f() {}",
        'let x = "F";',
        'let x = r#"F"#;',
        'println!("F", H);',
        "let x = 'F';",
    ],
    "c": ["int x = H; // F", 'char *s = "F";', "#define A F", "#include <F>", "int f() { H; }", "char c = 'F';"],
    "cpp": ['auto s = R"(F)";', "int x = H; /* F */"],
    "java": ["class A { int x = H; } // F", 'class A { String s = "F"; }', "/** F */ class A {}"],
    "json": ['{"a": H}', '{"F": 1}'],
    "css": ["a { color: H; }", 'a { content: "F"; } /* F */'],
}


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_free_text_is_told_from_code(language, text):
    free = prose.finder(re.sub(r"\b[HF]\b", "_", text), by_name(language))
    for place in re.finditer(r"\b[HF]\b", text):
        assert free(*place.span()) is (place[0] == "F"), place


def test_where_nothing_can_be_parsed_no_text_is_free(monkeypatch):
    monkeypatch.setattr(languages, "parse", lambda *_: None)
    assert not prose.finder("# a", by_name("python"))(2, 3)
