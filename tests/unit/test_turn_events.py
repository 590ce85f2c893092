"""Tests the ids of a turn's events."""

import pytest

from shared.domain.turn_events import Heard, Progress


@pytest.mark.parametrize(
    "progress",
    [
        Progress(),
        Progress(planned=True),
        Progress(planned=True).with_reply(2, Heard(1)),
        Progress(planned=True).with_reply(1, Heard(12, completed=True)).with_reply(0, Heard(0, completed=True)),
        Progress(planned=True, ended=True),
    ],
)
def test_progress_is_read_back_from_its_id(progress: Progress) -> None:
    assert Progress.from_id(progress.as_id()) == progress


@pytest.mark.parametrize("text", ["", "2", "1.", "1.c", "1.-1", "1.1cc", "1 ", "end ", "1" + ".1" * 201, "1.٣"])
def test_progress_refuses_a_text_that_is_not_an_id(text: str) -> None:
    with pytest.raises(ValueError, match="not an event id"):
        Progress.from_id(text)
