"""Runs the fake provider with Bedrock's protocol."""

import json
from pathlib import Path
from uuid import uuid4

from tests.support.fake_bedrock.answer import make_answer
from tests.support.fake_bedrock.received import Received
from tests.support.fake_provider import FakeProvider, Mood, Row, moods
from tests.support.fake_provider.answer import Answer
from tests.support.fake_provider.listener import Handler


class ConverseHandler(Handler):
    """`POST /model/{id}/converse` and `.../converse-stream` are Bedrock; what is under /control/ is as it was."""

    def do_POST(self) -> None:
        if not self.path.endswith(("/converse", "/converse-stream")):
            super().do_POST()
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._deliver(*self.server.provider.receive(Received(self.path, dict(self.headers.items()), body)))


class FakeBedrock(FakeProvider):
    """Its rows name the call and the model as those of the fake provider do; `parameters` are the rest of the body,
    `system` and `requestMetadata` included."""

    def __init__(self, log_path: Path | None = None, port: int = 0) -> None:
        super().__init__(log_path, port)
        self._server.RequestHandlerClass = ConverseHandler

    @property
    def endpoint(self) -> str:
        return self.url.removesuffix("/v1")

    def receive(self, received: moods.Received) -> tuple[Mood, Answer]:
        assert isinstance(received, Received)
        mood = (self._choice and self._choice(received)) or self._next_mood(received) or moods.ok()
        request_id = str(uuid4())
        answer = make_answer(mood, received, request_id)
        body = dict(received.body)
        self._log.append(
            Row(
                request_id=request_id,
                client_request_id=body.get("requestMetadata", {}).get("call_id"),
                authorization=received.headers.get("Authorization"),
                path=received.path,
                model=received.model_id,
                messages=body.pop("messages"),
                parameters=body,
                status=answer.status,
                usage=answer.usage,
                charged=answer.charged,
            )
        )
        return mood, answer
