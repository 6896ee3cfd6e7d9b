"""Definitions by their dotted names."""

from __future__ import annotations

import unicodedata

import pytest

from diffucli.errors import UsageError
from diffucli.syntax import languages
from diffucli.syntax.languages import by_name
from diffucli.syntax.symbols import find, symbols
from diffucli.tasks import targets

PYTHON = by_name("python")

# language → (text, {name: (how the span begins, how it ends, how the body begins)})
CASES = {
    "python": (
        (
            "é = 1\n@dec\nclass Cfg:\n    @property\n    def load(self):\n        def inner(): pass\n        return 1\n"
            "if é:\n    async def ü(): ...\n"
        ),
        {
            "Cfg": ("@dec", "return 1", "@property"),
            "Cfg.load": ("@property", "return 1", "def inner"),
            "Cfg.load.inner": ("def inner", "pass", "pass"),
            "ü": ("async", "...", "..."),
        },
    ),
    "javascript": (
        (
            "/* é */ export default function f() {}\nconst g = (x) => x + 1, h = 3;\nconst k = function () {};\n"
            "class A { static #p = () => 1; m() { function n() {} } }\nconst o = { q() {} };\n"
            "export const App = memo(() => 1);\nconst { z } = () => 1;\nconst v = call(1);\n"
            "const Two = memo(() => 1, eq), Last = wrap(1, { a: 2 }, function () {});\nconst No = memo(eq, { a: 2 });\n"
        ),
        {
            "f": ("export", "{}", "{}"),
            "g": ("g =", "x + 1", "x + 1"),
            "k": ("const k", ";", "{}"),
            "A": ("class", "}", " static"),
            "A.#p": ("static", "1", "1"),
            "A.m": ("m()", "}", " function"),
            "A.m.n": ("function", "{}", "{}"),
            "o": ("const", ";", " q"),
            "o.q": ("q()", "{}", "{}"),
            "App": ("export", ";", "1"),
            "Two": ("Two", "eq)", "1"),
            "Last": ("Last", "{})", "{}"),
        },
    ),
    "typescript": (
        (
            "@C()\nexport class A<T> { @d() m(): void {}\n p = () => 1 }\ninterface I { x: number }\ntype T = string;\n"
            "enum E { B }\nnamespace N { export function f() {} }\n"
            "function o(a: string): void;\nfunction o(a: any) {}\n"
        ),
        {
            "A": ("@C()", "}", " @d"),
            "A.m": ("@d()", "{}", "{}"),
            "A.p": ("p =", "1", "1"),
            "I": ("interface", "}", " x"),
            "T": ("type", ";", ""),
            "E": ("enum", "}", " B"),
            "N": ("namespace", "}", " export"),
            "N.f": ("export", "{}", "{}"),
            "o": ("function o(a: any)", "{}", "{}"),
        },
    ),
    "tsx": ("export const V: FC = () => <a/>;\n", {"V": ("export", ";", "<a/>")}),
    "go": (
        (
            "package p\nfunc F[T any](x T) {}\nfunc (c *Cfg) Load() error { return nil }\nfunc (s Stack[T]) Pop() {}\n"
            "type Cfg struct{ a int }\ntype (\n\tX int\n\tY int\n)\n"
        ),
        {
            "F": ("func", "{}", "{}"),
            "Cfg.Load": ("func (c", "}", " return"),
            "Stack.Pop": ("func (s", "{}", "{}"),
            "Cfg": ("type Cfg", "}", " a int"),
            "X": ("X", "int", "int"),
            "Y": ("Y", "int", "int"),
        },
    ),
    "rust": (
        (
            "#[derive(Debug)]\n#[x]\npub struct Cfg { a: i32 }\nimpl Cfg { #[inline] pub fn load() {} }\n"
            "impl<T> fmt::Display for a::Stack<T> { fn fmt(&self) {} }\nmod m { fn q() {} }\nmod ext;\n"
            "trait D { fn d() {} }\n"
        ),
        {
            "Cfg": ("#[derive", "}", " a"),
            "Cfg.load": ("#[inline]", "{}", "{}"),
            "Stack.fmt": ("fn", "{}", "{}"),
            "m": ("mod", "}", " fn"),
            "m.q": ("fn", "{}", "{}"),
            "D": ("trait", "}", " fn"),
            "D.d": ("fn", "{}", "{}"),
        },
    ),
    "c": (
        (
            "struct S { int a; };\nstruct S *f(struct S *s) { return s; }\nstatic int (*g(int x))(void) { return 0; }\n"
            "typedef struct { int b; } T;\nint h(void);\n"
        ),
        {
            "S": ("struct S", "}", " int a"),
            "f": ("struct S *f", "}", " return s"),
            "g": ("static", "}", " return 0"),
            "T": ("typedef", ";", " int b"),
        },
    ),
    "cpp": (
        (
            "namespace ns { template <class T> class V { void m() {} ~V() {} bool operator<(int x) { return 1; } }; }\n"
            "int ns::V<int>::k(int a) { return 1; }\nstd::string &r() {}\n"
        ),
        {
            "ns": ("namespace", "}", " template"),
            "ns.V": ("template", ";", " void"),
            "ns.V.m": ("void", "{}", "{}"),
            "ns.V.~V": ("~V", "{}", "{}"),
            "ns.V.operator<": ("bool", "}", " return"),
            "ns.V.k": ("int", "}", " return"),
            "r": ("std", "{}", "{}"),
        },
    ),
    "java": (
        (
            "@X public class A { @Override int m() { return 1; } A() {} static class B { void q() {} } }\n"
            "interface I { void z(); }\nrecord R(int a) {}\n"
        ),
        {
            "A": ("@X", "}", " @Over"),
            "A.m": ("@Override", "}", " return"),
            "A.A": ("A()", "{}", "{}"),
            "A.B": ("static", "}", " void"),
            "A.B.q": ("void", "{}", "{}"),
            "I": ("interface", "}", " void"),
            "I.z": ("void", ";", ""),
            "R": ("record", "{}", "{}"),
        },
    ),
    "bash": ("f() {\n echo\n}\nfunction g { :; }\n", {"f": ("f()", "}", "\n echo\n"), "g": ("function", "}", " :;")}),
}


# language, text, the names in it and nothing else: kinds of definitions that CASES lacks
MORE = [
    ("javascript", "function* gen() { yield 1; }\nconst h = function* () {}, K = class {};\nlet n = 1;\n", "gen h K"),
    ("javascript", "let x;\nclass A { y; z = 1; }\nconst a = new B(), b = () => 1;\n", "A b"),
    (
        "typescript",
        (
            "abstract class B { abstract m(): void; q = 3 }\nconst f = () => 1;\nfunction* g() {}\n"
            "module M { }\ndeclare function d(): void;\nexport default interface P {}\n"
        ),
        "B f g M P",
    ),
    (
        "tsx",
        (
            "class A { m() { return <a/>; } p = () => 1 }\ninterface I { x: 1 }\ntype T = 1;\n"
            "enum E { B }\nfunction f() {}\nabstract class C {}\nnamespace N { }\nfunction* g() {}\n"
        ),
        "A A.m A.p I T E f C N g",
    ),
    ("go", "package p\ntype A = int\ntype B interface{ M() }\nvar x = 1\n", "A B"),
    (
        "rust",
        (
            "enum E { A }\nunion U { a: i32 }\ntype T = i32;\nmacro_rules! m { () => {} }\n"
            "impl dyn D { fn a() {} }\nimpl a::b::C<T> { fn x() {} }\n"
        ),
        "E U T m D.a C.x",
    ),
    (
        "c",
        (
            "union U { int a; };\nenum E { A };\nenum F;\nstruct G;\nunion H;\nint *k(void) { return 0; }\n"
            "void (*sig(int s, void (*f)(int)))(int) { return f; }\n"
        ),
        "U E k sig",
    ),
    (
        "cpp",
        (
            "typedef int T;\nunion U { int a; };\ntemplate <class X> concept K = true;\nusing V = int;\n"
            "enum class E { A };\nstruct S { int operator()(int x) { return x; } };\nclass F;\n"
            "S::~S() {}\nint *&A :: q() {}\nstd::vector<int> &A<B<int>>::push(int x) {}\n"
            "bool operator<(A a, A b) { return 1; }\n"
        ),
        "T U K V E S S.operator() S.~S A.q A.push operator<",
    ),
    ("java", "enum E { A; void m() {} }\nrecord R(int a) { R { } }\n@interface N { int v(); }\n", "E E.m R R.R N"),
]


@pytest.mark.parametrize(("name", "text", "names"), MORE)
def test_every_kind_of_definition_is_known(name: str, text: str, names: str) -> None:
    assert [symbol.name for symbol in symbols(text, by_name(name))] == names.split()


def test_a_conversion_operator_is_named_with_its_type() -> None:
    text = "struct S { operator int() { return 1; } };\nA::operator bool() { return 1; }\n"
    assert [symbol.name for symbol in symbols(text, by_name("cpp"))] == [
        "S",
        "S.operator int()",
        "A.operator bool()",
    ]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_language_has_exactly_these_symbols(name: str) -> None:
    text, expected = CASES[name]
    assert sorted(symbol.name for symbol in symbols(text, by_name(name))) == sorted(expected)


@pytest.mark.parametrize("name", sorted(CASES))
def test_spans_take_in_decorators_and_bodies_begin_inside(name: str) -> None:
    text, expected = CASES[name]
    for symbol in symbols(text, by_name(name)):
        begin, end, body = expected[symbol.name]
        assert text[symbol.start : symbol.stop].startswith(begin), symbol
        assert text[symbol.start : symbol.stop].endswith(end), symbol
        assert (symbol.body is None) == (not body), symbol
        if symbol.body:
            assert text[symbol.body.start : symbol.body.stop].startswith(body), symbol
            assert symbol.start < symbol.body.first <= symbol.body.start < symbol.body.stop <= symbol.stop


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_symbol_is_found_by_its_name(name: str) -> None:
    text, expected = CASES[name]
    for symbol in expected:
        assert find(text, by_name(name), symbol).name == symbol


def test_the_separators_of_other_languages_are_understood() -> None:
    text = CASES["cpp"][0]
    assert find(text, by_name("cpp"), "ns::V::k") == find(text, by_name("cpp"), " ns.V.k ")


def test_an_unknown_name_tells_the_nearest_and_those_there_are() -> None:
    text = CASES["python"][0]
    with pytest.raises(UsageError, match=r"no symbol is named `Cfg\.laod`; did you mean `Cfg\.load`") as caught:
        find(text, PYTHON, "Cfg.laod")
    assert "Cfg.load.inner" in caught.value.hint


def test_the_end_of_a_name_is_enough_where_only_one_has_it() -> None:
    text = CASES["python"][0] + "class Db:\n    def inner(self): ...\n\n    def store(self): ...\n"
    assert find(text, PYTHON, "load").name == "Cfg.load"
    assert find(text, PYTHON, "load.inner").name == "Cfg.load.inner"
    assert find(text, PYTHON, "store").name == "Db.store"
    assert find("def load(): ...\n" + text, PYTHON, "load").name == "load"


def test_an_end_that_several_names_have_tells_them_all() -> None:
    text = "".join(f"class {name}:\n    def load(self): ...\n" for name in "ABCD")
    with pytest.raises(UsageError) as caught:
        find(text, PYTHON, "load")
    named = "`A.load` or `B.load` or `C.load` or `D.load`"
    assert caught.value.message == f"4 symbols are named `load`; did you mean {named}?"
    assert caught.value.hint == "write its whole name, as in `-r A.load`"


def test_a_name_like_no_other_gets_no_guess() -> None:
    with pytest.raises(UsageError) as caught:
        find("def f(): ...\n", PYTHON, "zzz")
    assert (caught.value.message, caught.value.hint) == ("no symbol is named `zzz`", "there are: f")


def test_a_scope_comes_before_what_is_in_it() -> None:
    text = "@d\nclass A:\n    class B:\n        def f(self): ...\n\n\ndef g(): ...\n"
    assert [symbol.name for symbol in symbols(text, PYTHON)] == ["A", "A.B", "A.B.f", "g"]


def test_receivers_name_their_type_with_or_without_a_name_of_their_own() -> None:
    text = "package p\nfunc (Cfg) M() {}\nfunc (*Cfg) N() {}\nfunc (c *Stack[T]) Pop() {}\n"
    assert [symbol.name for symbol in symbols(text, by_name("go"))] == ["Cfg.M", "Cfg.N", "Stack.Pop"]


def test_a_text_without_definitions_says_so() -> None:
    with pytest.raises(UsageError) as caught:
        find("x = 1\n", PYTHON, "f")
    assert caught.value.hint == "the text defines nothing"


def test_a_long_list_of_names_is_cut() -> None:
    with pytest.raises(UsageError) as caught:
        find("".join(f"def f{i}(): pass\n" for i in range(30)), PYTHON, "zzz")
    assert caught.value.hint.endswith(", f19 and 10 more")
    with pytest.raises(UsageError) as caught:
        find("".join(f"def f{i}(): pass\n" for i in range(20)), PYTHON, "zzz")
    assert caught.value.hint.endswith(", f19")


def test_an_ambiguous_name_lists_its_lines() -> None:
    text = "class A:\n    @property\n    def x(self): ...\n    @x.setter\n    def x(self, v): ...\n"
    with pytest.raises(UsageError, match=r"`A\.x` is defined 2 times, at lines 2, 4") as caught:
        find(text, PYTHON, "A.x")
    assert "-r A.x@2" in caught.value.hint


@pytest.mark.parametrize("name", ["json", "html", "css"])
def test_a_language_without_definitions_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} has no symbols"):
        symbols("", by_name(name))


def test_a_text_that_takes_too_long_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="too long"):
        symbols("<a {{b:>c:d(e f)", by_name("tsx"), seconds=0.1)


def test_a_text_has_four_seconds_to_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(languages, "parse", lambda text, language, *, seconds: given.append(seconds))
    with pytest.raises(UsageError, match="too long"):
        symbols("", PYTHON)
    assert given == [4.0]


def test_a_broken_neighbour_does_not_hide_a_definition() -> None:
    text = "def f():\n    return (1\n\ndef g():\n    return ???\n\nclass K:\n    def m(self):\n        pass\n"
    assert find(text, PYTHON, "K.m").name == "K.m"


def test_thousands_of_nested_definitions_do_not_overflow() -> None:
    text = "function f(){" * 2000 + "}" * 2000
    assert len(symbols(text, by_name("js"), seconds=10)) == 2000


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("rust", "impl " + "&" * 5000 + "T { fn f() {} }"),
        ("go", "package a\nfunc (x " + "*" * 5000 + "T) f() {}"),
    ],
)
def test_a_type_may_be_nested_deeply(language: str, text: str) -> None:
    assert [symbol.name for symbol in symbols(text, by_name(language))] == ["T.f"]


IMPLS = "impl A for X {\n  fn go(&self) { 1; }\n}\nimpl B for X {\n  fn go(&self) { 2; }\n}\n"
PROPERTY = (
    "class C:\n    @property\n    def v(self):\n        return 1\n\n"
    "    @v.setter\n    def v(self, x):\n        self.x = x\n"
)


@pytest.mark.parametrize(
    ("text", "language", "name", "body"),
    [
        (IMPLS, "rust", "X.go@2", "1;"),
        (IMPLS, "rust", "X::go@5", "2;"),
        (PROPERTY, "python", "C.v@2", "return 1"),
        (PROPERTY, "python", "C.v@7", "self.x = x"),
        (PROPERTY, "python", "v@6", "self.x = x"),
        ("class A { void f(int a) { a(); }\n void f(String b) { b(); } }", "java", "A.f@2", "b();"),
    ],
)
def test_one_of_several_definitions_is_named_by_its_line(text, language, name, body):
    found = find(text, languages.by_name(language), name)
    assert text[found.body.start : found.body.stop].strip() == body


def test_the_message_says_how_to_tell_definitions_apart():
    python = languages.by_name("python")
    with pytest.raises(UsageError, match=r"`C\.v` is defined 2 times, at lines 2, 6") as caught:
        find(PROPERTY, python, "v")
    assert caught.value.hint == "say in which line, as in `-r C.v@2`"
    with pytest.raises(UsageError, match=r"`C\.v` is not defined in line 5") as caught:
        find(PROPERTY, python, "C.v@5")
    assert caught.value.hint == "it is at lines 2, 6"
    one_line = "class C { get v() { return 1 } set v(x) { } }"
    with pytest.raises(UsageError) as caught:
        find(one_line, languages.by_name("javascript"), "C.v@1")
    assert caught.value.hint == "name its columns instead, as in `-r 1:11-1:30`"
    assert one_line[10:30] == "get v() { return 1 }"


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        ("class Été:\n    def café(self):\n        return 1\n", "python", "Été.café"),
        ("function café() { return 1; }\n", "javascript", "café"),
    ],
)
def test_a_name_is_one_however_its_accents_are_written(text, language, name, written, asked):
    text = unicodedata.normalize(written, text)
    assert find(text, languages.by_name(language), unicodedata.normalize(asked, name)).body is not None


CASTS = "struct A { operator bool() const { return 1; } bool operator()(int a) { return 2; } };\n"
QUOTED = 'class K { "quoted name"() { return 1; } [Symbol.iterator]() { return 2; } #priv() { return 3; } }\n'


@pytest.mark.parametrize(
    ("text", "language", "name", "body"),
    [
        (CASTS, "cpp", "A.operator bool() const", "return 1;"),
        (CASTS, "cpp", "A::operator bool() const", "return 1;"),
        (CASTS, "cpp", "A.operator bool", "return 1;"),
        (CASTS, "cpp", "operator bool", "return 1;"),
        (CASTS, "cpp", "A.operator()", "return 2;"),
        (QUOTED, "javascript", 'K."quoted name"', "return 1;"),
        (QUOTED, "javascript", "K.quoted name", "return 1;"),
        (QUOTED, "javascript", "K.[Symbol.iterator]", "return 2;"),
        (QUOTED, "javascript", "K.#priv", "return 3;"),
    ],
)
def test_names_with_blanks_quotes_and_signs_are_named(text, language, name, body):
    (region,) = targets.find(text, languages.by_name(language), [name], all_holes=False, lenient=False).regions
    assert text[region.start : region.stop] == body
