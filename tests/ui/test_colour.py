import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorType

from diffucli.ui.colour import (
    CONTEXT,
    DARK,
    FRESH,
    LIGHT,
    MASK,
    REMASKED,
    WINDOW_MASK,
    WRITTEN,
    classes,
    code,
    diff,
    style,
)

SOME = st.text(st.sampled_from('def x():\n\t\'"""#0 ░<{/*'), max_size=60)


@given(SOME, st.sampled_from(["python", "rust", "go", "typescript", "html", "no such language"]))
def test_every_character_has_a_known_class(text, language):
    found = classes(text, language)
    assert len(found) == len(text)
    assert set(found) <= set(DARK.syntax)


def test_keywords_names_strings_numbers_and_comments_differ():
    code = "def f(): return 'a' + 1 # c"
    found = classes(code, "python")
    seen = {found[code.index(part)] for part in ["def", "f()", "'a'", "1", "#"]}
    assert len(seen) == 5


def test_a_half_written_text_still_has_its_keywords():
    assert classes("def     (:\n  return ", "python").startswith("kkk")


def test_an_unknown_language_is_plain():
    assert classes("def", "klingon") == "..."


@pytest.mark.parametrize("shade", [*DARK.shades, CONTEXT, WRITTEN])
@pytest.mark.parametrize("kind", DARK.syntax)
def test_on_a_dark_background_only_the_sixteen_colours_of_the_users_theme_are_used(kind, shade):
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
    assert all(style("k", shade) == style("s", shade) for shade in DARK.shades)
    assert style("k", WRITTEN) != style("s", WRITTEN)
    assert style("k", CONTEXT) != style("s", CONTEXT)
    assert style("k", CONTEXT).color == style("k", WRITTEN).color


def test_fresh_tokens_fade_step_by_step():
    assert len({style(".", shade) for shade in (*FRESH, WRITTEN)}) == 5


def contrast_with_white(color):
    """As WCAG 2 defines it, from 1 to 21."""
    parts = [part / 255 for part in color.get_truecolor()]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


LOOKS = [
    *(style(kind, shade, "light") for kind in LIGHT.syntax for shade in (*LIGHT.shades, CONTEXT, WRITTEN)),
    *(LIGHT.faint, LIGHT.done, LIGHT.open, LIGHT.head, LIGHT.added, LIGHT.removed, LIGHT.place),
]


@pytest.mark.parametrize("look", set(LOOKS), ids=str)
def test_on_a_light_background_everything_can_be_read(look):
    assert not look.dim, "what is dim cannot be computed"
    assert look.bgcolor is None
    assert look.color is None or contrast_with_white(look.color) >= 4.5


def test_on_a_light_background_what_differs_by_colour_differs_as_on_a_dark_one():
    for shade in (*FRESH, WRITTEN, MASK, WINDOW_MASK, REMASKED):
        assert [style("k", other, "light") == style("k", shade, "light") for other in (*FRESH, WRITTEN, REMASKED)] == [
            style("k", other) == style("k", shade) for other in (*FRESH, WRITTEN, REMASKED)
        ]
    assert style(".", CONTEXT, "light") != style(".", WRITTEN, "light")


@given(SOME, st.sampled_from(["python", "html"]))
def test_code_and_diffs_in_colours_are_the_same_text(text, language):
    assert "".join(segment.text for segment in code(text, language, "dark")) == text
    assert "".join(segment.text for segment in diff(text, "light")) == text


def test_the_lines_of_a_diff_have_their_colours():
    lines = ["diff --git a/x b/x\n", "--- a/x\n", "+++ b/x\n", "@@ -1 +1 @@\n", " a\n", "-b\n", "+c"]
    looks = [segment.style for segment in diff("".join(lines), "dark")]
    assert looks == [DARK.head] * 3 + [DARK.place, None, DARK.removed, DARK.added]
