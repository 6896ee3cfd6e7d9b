import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorType

from diffucli.ui.colour import (
    CONTEXT,
    FRESH,
    MASK,
    REMASKED,
    SHADE_STYLES,
    SYNTAX_STYLES,
    WINDOW_MASK,
    WRITTEN,
    classes,
    style,
)

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


def test_without_colours_the_three_kinds_of_mask_still_differ():
    assert len({style(".", shade).without_color for shade in (MASK, WINDOW_MASK, REMASKED)}) == 3


def test_masks_and_fresh_tokens_hide_the_syntax_and_the_rest_shows_it():
    assert all(style("k", shade) == style("s", shade) for shade in SHADE_STYLES)
    assert style("k", WRITTEN) != style("s", WRITTEN)
    assert style("k", CONTEXT) != style("s", CONTEXT)
    assert style("k", CONTEXT).color == style("k", WRITTEN).color


def test_fresh_tokens_fade_step_by_step():
    assert len({style(".", shade) for shade in (*FRESH, WRITTEN)}) == 5
