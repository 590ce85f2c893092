"""Tests the checks of `make confirm` that call the deployment: its commit, its tokens and its streams."""

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from infra_cdk.confirm import over_http
from infra_cdk.confirm.check import Deployment, Finding, Verdict
from tests.support.confirmed_stage import GREEN, RED, SKIPPED, http


class TestHealth:
    @pytest.mark.parametrize(
        ("status", "stage", "commit", "verdict"),
        [
            (200, "staging", "c0ffee", GREEN),
            (200, "staging", "0ther", RED),
            (200, "dev", "c0ffee", RED),
            (503, "staging", "c0ffee", RED),
        ],
    )
    def test_check_passes_when_health_has_the_stage_and_the_commit(
        self, deployment: Deployment, status: int, stage: str, commit: str, verdict: Verdict
    ) -> None:
        body = {"status": "ok", "version": "0.2.0", "commit": commit, "stage": stage, "checks": {}}
        asked = replace(deployment, http=http(lambda _: httpx.Response(status, json=body)), commit="c0ffee")
        found = over_http.serves_the_commit(asked)
        assert (found.verdict, "c0ffee" in found.evidence) == (verdict, True)


class TestTokenUse:
    @pytest.mark.parametrize(
        ("access", "refused", "verdict"),
        [("access-token", 401, GREEN), ("access-token", 200, RED), (None, 401, SKIPPED)],
    )
    def test_check_passes_when_the_access_token_is_refused(
        self, deployment: Deployment, access: str | None, refused: int, verdict: Verdict
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(refused if request.headers["Authorization"] == "Bearer access-token" else 200)

        asked = replace(deployment, http=http(answer), access_token=access)
        assert over_http.refuses_access_tokens(asked).verdict is verdict

    def test_check_fails_when_the_token_is_invalid(self, deployment: Deployment) -> None:
        asked = replace(deployment, http=http(lambda _: httpx.Response(401)), access_token="access-token")
        assert over_http.refuses_access_tokens(asked).verdict is RED


class Pieces(httpx.SyncByteStream):
    def __init__(self, *pieces: bytes, pause_s: float) -> None:
        self._pieces, self._pause_s = pieces, pause_s

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece
            time.sleep(self._pause_s)


class TestStreaming:
    DELTA, END = b'event: reply.delta\ndata: {"text": "one"}\n\n', b"event: turn.completed\ndata: {}\n\n"

    def streaming(
        self, deployment: Deployment, *pieces: bytes, pause_s: float, status: int = 200
    ) -> tuple[Finding, list[str]]:
        asked: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(f"{request.method} {request.url.path.removeprefix('/api/v1/').partition('/')[0]}")
            if request.url.path.endswith("/turns"):
                return httpx.Response(status, stream=Pieces(*pieces, pause_s=pause_s))
            return httpx.Response(201, json={"id": "s1"})

        tried = replace(deployment, http=http(answer), clock=time.monotonic)
        return over_http.streams(tried), asked

    def test_check_passes_for_a_piece_before_the_end_and_deletes_agent_and_session(
        self, deployment: Deployment
    ) -> None:
        found, asked = self.streaming(deployment, self.DELTA, self.DELTA, self.END, pause_s=0.15)
        assert found.verdict is GREEN
        assert asked == ["POST agents", "POST sessions", "POST sessions", "DELETE sessions", "DELETE agents"]

    @pytest.mark.parametrize(("pieces", "status"), [((DELTA + END,), 200), ((END,), 200), ((), 504)])
    def test_check_fails_when_the_answer_arrives_at_once_or_never(
        self, deployment: Deployment, pieces: tuple[bytes, ...], status: int
    ) -> None:
        found, asked = self.streaming(deployment, *pieces, pause_s=0.0, status=status)
        assert found.verdict is RED
        assert asked[-1] == "DELETE agents"
