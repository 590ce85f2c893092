"""Tests how the wait that a provider asks for is read, in each form of providers."""

import time
from email.utils import formatdate

import pytest

from shared.catalog import WORKER_SECONDS
from shared.llm.refusal import Refusal
from shared.llm.retry_after import read_retry_after

NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "6"}, 6.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "999999"}, WORKER_SECONDS),
        ({"retry-after": "inf"}, WORKER_SECONDS),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "x:" * 1000}, None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:06 GMT", "date": NOW}, 6.0),
        ({"retry-after": "Wednesday, 21-Oct-26 07:28:06 GMT", "date": NOW}, 6.0),
        ({"retry-after": "Wed, 21 Oct 2026 09:28:06 +0200", "date": NOW}, 6.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": NOW}, 0.0),
        ({"retry-after": "Wed, 21 Oct 9999999 07:28:00 GMT", "date": NOW}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0.5s"}, 360.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "20s"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "later"}, None),
    ],
)
def test_wait_is_read_from_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers, Refusal()) == (None if seconds is None else pytest.approx(seconds))


def test_wait_until_a_date_uses_our_clock_without_the_answers_date() -> None:
    told = read_retry_after({"retry-after": formatdate(time.time() + 20, usegmt=True)}, Refusal())
    assert told is not None
    assert 15.0 < told <= 20.0


@pytest.mark.parametrize("scale", [1, 1000])
def test_wait_is_read_from_a_reset_that_is_a_unix_time(scale: int) -> None:
    moment = str(int((time.time() + 20) * scale))
    told = read_retry_after({"x-ratelimit-remaining": "0", "x-ratelimit-reset": moment}, Refusal())
    assert told is not None
    assert 15.0 < told <= 20.0


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (Refusal("Rate limit reached. Please try again in 20s."), 20.0),
        (Refusal("Rate limit reached. Please try again in 350ms."), 0.35),
        (Refusal("Rate limit reached. Please retry after 2 seconds."), 2.0),
        (Refusal("Please wait 2 minutes"), 120.0),
        (Refusal("Please try again later."), None),
        (Refusal(retry_delay="35s"), 35.0),
    ],
)
def test_wait_is_read_from_the_body_when_headers_have_none(refusal: Refusal, seconds: float | None) -> None:
    assert read_retry_after({}, refusal) == (None if seconds is None else pytest.approx(seconds))
    assert read_retry_after({"retry-after": "1"}, refusal) == 1.0
