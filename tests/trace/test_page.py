"""The page of a trace: no text of the model is more than text, and in a real browser it plays, scrubs and tells."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from html.parser import HTMLParser

import pytest

from diffucli.events import Finished, Started, Stepped, fold
from diffucli.trace.page import html

EVIL = [
    b"</script><script>document.title='run'</script>",
    b"<!--",
    b"\x1b[2J",
    "\u202e".encode(),
    b"<img src=x>",
    b"\x00",
]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def evil_run(pieces):
    """Tokens from 1 on, one a step, whose text is that of `pieces`."""
    masks = len(pieces)
    yield Started((*b"a = ", *[900] * masks), 900, ((4, 4 + masks),))
    for step in range(masks):
        yield Stepped(
            step + 1,
            (4 + step,),
            (300 + step,),
            (0.5,),
            (4, 4 + masks),
            masks - step - 1,
            step + 1.0,
            step * 0.1,
            (),
            (-0.5,),
        )
    yield Finished((*b"a = ", *range(300, 300 + masks)), "complete", 1.0, 1.0)


@pytest.fixture
def evil(lines_of, parsed):
    trace = parsed(lines_of(evil_run(EVIL)))
    trace.reader.pieces |= {300 + number: piece for number, piece in enumerate(EVIL)}
    return trace


class Scripts(HTMLParser):
    """Which elements a page has, and what its scripts hold."""

    def __init__(self) -> None:
        super().__init__()
        self.elements, self.scripts = [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script":
            self.scripts[-1] += data


def test_text_of_the_model_is_no_markup(evil):
    page = html(evil, candidate=0, title="</title><script>1</script>")
    read = Scripts()
    read.feed(page)
    assert len(read.scripts) == 2, "the data and the page's own"
    assert "<" not in read.scripts[0]
    assert json.loads(read.scripts[0])["pieces"]["300"].encode("latin-1") == EVIL[0]
    assert not {"img", "iframe", "link"} & {tag for tag, _ in read.elements}
    assert page.count("<title>") == 1


def test_nothing_is_fetched_and_nothing_may_be(evil):
    page = html(evil, candidate=0, title="t")
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=|https?:|@import|url\(", page.split('type="application/json"')[0])


class Browser:
    """A headless Chromium with one page, spoken to through a pipe."""

    def __init__(self, folder) -> None:
        read, self.out = os.pipe()
        self.inp, write = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=420,800"]
        moved = lambda: (os.dup2(os.dup(read), 3), os.dup2(os.dup(write), 4))  # noqa: E731
        self.child = subprocess.Popen(
            [CHROMIUM, *flags, f"--user-data-dir={folder}"],
            preexec_fn=moved,  # noqa: PLW1509 — no threads here
            pass_fds=(3, 4, read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self.number, self.rest = 0, b""
        (page,) = [each for each in self.ask("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        self.session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if hasattr(self, "session"):
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            *whole, self.rest = self.rest.split(b"\0")
            for number, each in enumerate(whole):
                if (answer := json.loads(each)).get("id") == self.number:
                    self.rest = b"\0".join([*whole[number + 1 :], self.rest])
                    assert "error" not in answer, answer
                    return answer["result"]
            got = os.read(self.inp, 1 << 16)
            assert got, "the browser is gone"
            self.rest += got

    def run(self, script):
        """The value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script):
        limit = time.monotonic() + 30
        while not self.run(script):
            assert time.monotonic() < limit, script
            time.sleep(0.05)

    def key(self, key):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, text=" " if key == " " and kind == "keyDown" else "")

    def click(self, selector):
        box = f"JSON.stringify(document.querySelector('{selector}').getBoundingClientRect())"
        place = json.loads(self.run(box))
        where = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)


@contextmanager
def opened(tmp_path, page):
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    browser = Browser(tmp_path / "profile")
    try:
        browser.ask("Page.navigate", url=file.as_uri())
        browser.until("document.readyState === 'complete' && !!document.querySelector('#told')?.textContent")
        yield browser
    finally:
        browser.child.kill()
        browser.child.wait()
        os.close(browser.inp)
        os.close(browser.out)


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
TEXT = "document.querySelector('#canvas').textContent"
TOLD = "document.querySelector('#told').textContent"


@needs_browser
def test_a_browser_shows_hostile_text_as_text(tmp_path, evil):
    with opened(tmp_path, html(evil, candidate=0, title="<b>t")) as browser:
        browser.key("End")
        browser.until(f"{TOLD}.includes('0 masks')")
        assert browser.run(TEXT) == "a = </script><script>document.title='run'</script><!--␛[2J\\u202e<img src=x>␀"
        assert browser.run("document.title") == "<b>t"
        assert browser.run("document.querySelectorAll('img, b').length") == 0
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"


@needs_browser
def test_a_browser_plays_steps_scrubs_and_tells_of_a_token(tmp_path, a_run, lines_of, parsed):
    trace = parsed(lines_of(a_run(7, length=24)))
    with opened(tmp_path, html(trace, candidate=0, title="t")) as browser:
        steps = int(browser.run("document.querySelector('#scrub').max")) + 1
        assert browser.run(TOLD).startswith(f"0.py · step 1 of {steps} · ")
        browser.click("#next")
        browser.key("ArrowRight")
        assert "step 3 of" in browser.run(TOLD)
        browser.click("#back")
        assert "step 2 of" in browser.run(TOLD)
        scrub = f"s = document.querySelector('#scrub'); s.value = {steps - 1}; s.dispatchEvent(new Event('input'))"
        browser.run(scrub)
        assert f"step {steps} of {steps}" in browser.run(TOLD)
        end = browser.run(TEXT)
        assert browser.run("document.querySelectorAll('#canvas span').length") == len(fold(trace.takes[0].of(0))) - 1
        browser.click("#canvas span[data-about]")
        assert re.search(
            r"step \d+ of \d+ · [\d.]+ % sure", browser.run("document.querySelector('#about').textContent")
        )
        browser.key("h")
        assert browser.run("document.querySelector('#legend').style.display") == "flex"
        hues = browser.run("Array.from(document.querySelectorAll('#canvas span'), s => s.style.background).join()")
        assert "rgba(29, 98, 237" in hues, "the first step of which something is left"
        assert "rgba(237, 98, 29" in hues, "the last one"
        browser.key("Home")
        assert browser.run(TEXT) != end
        browser.run("document.querySelector('#speed').value = 4")
        browser.click("#play")
        browser.until(f"{TOLD}.includes('step {steps} of {steps}')")
        assert browser.run(TEXT) == end
