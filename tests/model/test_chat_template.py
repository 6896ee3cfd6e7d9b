"""A chat template is rendered as transformers renders it, in a process of its own."""

from __future__ import annotations

import subprocess

import pytest

from diffucli.model import chat_template
from diffucli.model.chat_template import Failed, render, rendered

TURNS = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
TEMPLATE = """{{ bos_token }}{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
<{{ message['role'] }}>{{ message.content | trim }}
{% endfor %}
{% if add_generation_prompt %}{{ {'a': 'ü'} | tojson }}{{ strftime_now('%%') }}{% endif %}"""


def test_a_template_is_rendered_with_the_flags_of_transformers():
    """Blocks take their line with them; loops may go on; what it may name is there, and in JSON nothing is escaped."""
    assert render(TEMPLATE, TURNS, {"bos_token": "B"}) == 'B<user>hi\n{"a": "ü"}%'


def test_the_same_text_comes_from_transformers(golden_of):
    """On a template with all that the published ones use."""
    utilities = pytest.importorskip("transformers.utils.chat_template_utils")
    template = "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] | trim + eos_token }}{% endfor %}x"
    theirs, _ = utilities.render_jinja_template([TURNS], chat_template=template, eos_token="E")
    assert render(template, TURNS, {"eos_token": "E"}) == theirs[0]


def test_what_a_template_raises_is_told_in_one_line():
    for template, told in (
        ("{{ raise_exception('a\nb') }}", "a b"),
        ("{{ x.y.z }}", "'x' is undefined"),
        ("{% if", "xpected"),
    ):
        with pytest.raises(Failed, match=told) as caught:
            render(template, TURNS, {})
        assert "\n" not in str(caught.value)


def test_a_process_that_dies_is_told(monkeypatch):
    def dies(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(-9, "python")

    monkeypatch.setattr(chat_template.subprocess, "run", dies)
    with pytest.raises(Failed, match="takes more than 1024 MiB, or cannot be run"):
        render("x", TURNS, {})


def test_a_template_cannot_change_what_it_is_given():
    from jinja2.exceptions import SecurityError

    with pytest.raises(SecurityError):
        rendered("{{ messages.append(1) }}", {"messages": [1]})
