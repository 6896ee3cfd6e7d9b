"""A member tells what its pool listens to, and waits only when nothing is being worked on."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from tests.executors.squares import faulty, square, unloadable

from diffucli.errors import ModelError
from diffucli.executors.attend import attend

if TYPE_CHECKING:
    from diffucli.executors.attend import Message


def told(worker: Any, *entries: tuple[str, int]) -> list[Message]:
    inbox: SimpleQueue[Any] = SimpleQueue()
    for entry in (*entries, None):
        inbox.put(entry)
    messages: list[Message] = []
    attend(worker, inbox, messages.append)
    return messages


def test_it_is_ready_then_done_then_ended() -> None:
    messages = told(square, ("a", 2), ("b", 3))
    assert [(what, key) for what, key, _ in messages] == [("ready", ""), ("done", "b"), ("done", "a"), ("ended", "")]
    assert [value[0] for what, _, value in messages if what == "done"] == [9, 4]


def test_a_worker_with_items_goes_on_while_no_others_come() -> None:
    """A queue that is waited for would never give a second item here."""
    inbox: SimpleQueue[Any] = SimpleQueue()
    inbox.put(("a", 2))
    messages: list[Message] = []

    def tell(message: Message) -> None:
        messages.append(message)
        if message[0] == "done":
            inbox.put(None)

    attend(square, inbox, tell)
    assert [what for what, _, _ in messages] == ["ready", "done", "ended"]


def test_errors_are_told_in_a_form_that_can_be_sent() -> None:
    ((what, _, error),) = told(unloadable)
    assert what == "failed"
    assert isinstance(error, ModelError)
    _, (what, _, error) = told(faulty, ("a", 1))
    assert (what, str(error)) == ("failed", "LookupError: a")
