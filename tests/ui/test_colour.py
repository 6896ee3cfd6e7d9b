import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorType

from diffucli.ui.colour import CONTEXT, FRESH, MASK, SHADE_STYLES, SYNTAX_STYLES, WINDOW_MASK, WRITTEN, classes, style

SOME = st.text(st.sampled_from('def x():\n\t\'"""#0 ░<{/*'), max_size=60)


@given(SOME, st.sampled_from(["python", "rust", "go", "typescript", "html", "no such language"]))
def test_every_character_has_a_known_class(text, language):
    found = classes(text, language)
    assert len(found) == len(text)
    assert set(found) <= set(SYNTAX_STYLES)


def test_keywords_names_strings_numbers_and_comments_differ():
    code = "def f(): return 'a' + 1 # c"
    found = classes(code, "python")
    seen = {found[code.index(part)] for part in ["def", "f()", "'a'", "1", "#"]}
    assert len(seen) == 5


def test_a_half_written_text_still_has_its_keywords():
    assert classes("def     (:\n  return ", "python").startswith("kkk")


def test_an_unknown_language_is_plain():
    assert classes("def", "klingon") == "..."


@pytest.mark.parametrize("shade", [*SHADE_STYLES, CONTEXT, WRITTEN])
@pytest.mark.parametrize("kind", SYNTAX_STYLES)
def test_only_the_sixteen_colours_of_the_users_theme_are_used(kind, shade):
    look = style(kind, shade)
    assert look.color is None or look.color.type is ColorType.STANDARD
    assert look.bgcolor is None


def test_without_colours_a_fresh_commit_still_stands_out():
    bare = {shade: style("k", shade).without_color for shade in (FRESH[0], WRITTEN, CONTEXT, MASK, WINDOW_MASK)}
    assert bare[FRESH[0]].reverse
    assert bare[FRESH[0]].bold
    assert not bare[WRITTEN].reverse
    assert bare[CONTEXT].dim
