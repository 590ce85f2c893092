"""List the AWS operations that each function asks for, and on what.

`python -m tests.support.templates.called` prints them as JSON.

Each real handler runs every path that calls AWS, in its own process. Local servers speak AWS's protocols behind
boto3, and boto3 reports each operation before it sends the request.
"""

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import boto3
import psycopg
from moto.server import ThreadedMotoServer
from psycopg.rows import dict_row
from uuid6 import uuid7

from infra_cdk.entries import ENTRIES
from local import database, postgres
from shared.catalog import catalog
from shared.db.api import agents, sessions
from shared.db.engine import Database, Row
from shared.domain.money import Usage
from shared.llm.port import Message, Request
from shared.llm.providers import provider
from shared.names import Env
from tests.faults import events
from tests.faults.actor import AMPLE_S, ScriptedContext
from tests.support.fake_bedrock import FakeBedrock
from tests.support.fake_bedrock.environment import ENVIRONMENT, REGION
from tests.support.fake_provider import moods
from tests.support.invocation_records import invocation, packed
from tests.support.issuer import AUDIENCE, Issuer
from tests.support.templates.issuer_site import serving

HOST, STAGE, BUCKET, KEYS = "127.0.0.1", "test", "invocations", "issuer-keys"
FOLDER = f"bedrock/AWSLogs/123456789012/BedrockModelInvocationLogs/{REGION}"
SERVED = ("S3", "SECRETS_MANAGER", "SQS")
# Which parameters name what an operation is about.
ABOUT = ("modelId", "QueueUrl", "SecretId", "Bucket", "Key", "Prefix")


@dataclass
class Account:
    """`called` are (service, operation, what it is about) by function. `owner` sees every row."""

    owner: psycopg.Connection[Row]
    app: Database
    bedrock: FakeBedrock
    s3: Any
    issuer: Issuer
    issuer_url: str
    called: defaultdict[str, set[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(set))
    _asking: str = ""

    def watch(self) -> None:
        """From now on, note what clients are used for."""
        make = boto3.session.Session.client

        def make_watched(session: Any, *args: Any, **kwargs: Any) -> Any:
            client = make(session, *args, **kwargs)
            client.meta.events.register("before-parameter-build", self._note)
            return client

        boto3.session.Session.client = make_watched

    def _note(self, params: dict[str, Any], model: Any, **_: object) -> None:
        about = "/".join(str(params[name]) for name in ABOUT if name in params)
        self.called[self._asking].add((model.service_model.service_name, model.name, about))

    def invoke(self, function: str, event: dict[str, Any], *seconds_left: float) -> dict[str, Any]:
        self._asking = function
        handler = import_module(f"functions.{function}.handler").handler
        returned: dict[str, Any] = handler(event, ScriptedContext(list(seconds_left or (AMPLE_S,))))
        assert returned.get("statusCode", 200) < 400, returned
        return returned

    def ask_authorizer(self) -> None:
        """A request with a token of the issuer, whose keys are in the bucket."""
        event = events.request("GET", "/auth/me")
        token = self.issuer.token(iss=self.issuer_url)
        event |= {"multiValueHeaders": {"Authorization": [f"Bearer {token}"]}}
        event |= {"methodArn": f"arn:aws:execute-api:{REGION}:123456789012:api/live/GET/api/v1/auth/me"}
        answer = self.invoke("authorizer", event)
        assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow", answer

    def post(self, mode: str, message: str, *seconds_left: float, later: bool = False) -> UUID:
        session_id, key = uuid7(), str(uuid7())
        fields: dict[str, object] = {"title": "Talk", "mode": mode, "agent_keys": ["writer"], "fan_out": "sequential"}
        sessions.record_session(self.app, events.TENANT, "user-1", session_id, fields)
        self.invoke("turns", events.post_turn(session_id, message, key, later=later), *seconds_left)
        (row,) = self.owner.execute("SELECT id FROM turns WHERE idempotency_key = %s", [key]).fetchall()
        turn_id: UUID = row["id"]
        return turn_id

    def lose_a_call(self) -> tuple[UUID, datetime]:
        """A call whose outcome nobody knows, three hours ago, and that hour."""
        self.bedrock.add(moods.status(500))
        turn_id = self.post("tag", "@writer hello")
        made = "date_trunc('hour', now(), 'UTC') - interval '160 minutes'"
        self.owner.execute(
            f"UPDATE llm_calls SET created_at = {made}, posted_at = {made} WHERE turn_id = %s".encode(), [turn_id]
        )
        query = "SELECT call_id, date_trunc('hour', created_at, 'UTC') AS hour FROM llm_calls WHERE status = 'unknown'"
        (call,) = self.owner.execute(query.encode()).fetchall()
        # The hours before have been read.
        self.owner.execute(
            """INSERT INTO invocation_log_hours
            SELECT hour, now(), NULL, '{}', 0, now()
            FROM generate_series(%(hour)s - interval '15 days', %(hour)s - interval '1 hour', interval '1 hour') AS hour
            """,
            {"hour": call["hour"]},
        )
        return call["call_id"], call["hour"]

    def stream(self) -> None:
        """A call of the turns function whose text somebody reads as it comes."""
        self._asking = "turns"
        asked = Request(str(uuid7()), str(uuid7()), catalog()["fast"], (Message("user", "hello"),), 100)
        pieces: list[str] = []
        completion = provider().complete(asked, pieces.append)
        assert completion.text == "".join(pieces) != "", completion


def exercise(account: Account) -> None:
    """Every function, on every way that leads to AWS."""
    schedule: dict[str, Any] = {}
    account.invoke("migrate", schedule)
    database.admit(os.environ[Env.OWNER_DATABASE_URL])
    body = {"name": "Writer", "role_prompt": "You write.", "model_alias": "fast", "enabled": True}
    body |= {"max_output_tokens": 100, "temperature": None}
    agents.record_agent(account.app, events.TENANT, "writer", body)
    for mode in ("manual", "tag", "roundtable", "orchestrator"):
        account.post(mode, "@writer hello")
    account.stream()
    turn_id = account.post("tag", "@writer hello", later=True)
    # Not enough for one call: it is handed over once more.
    account.invoke("worker", events.deliver(turn_id), 5.0)
    account.invoke("worker", events.deliver(turn_id))
    account.invoke("api", events.request("GET", f"/turns/{turn_id}"))
    account.post("tag", "@writer hello", later=True)
    account.owner.execute("UPDATE turns SET dispatch_after = now() WHERE status = 'accepted'")
    assert account.invoke("sweeper", schedule)["dispatched"] == 1
    call_id, hour = account.lose_a_call()
    record = packed(invocation(call_id, Usage(input_tokens=10, output_tokens=2), STAGE))
    key = f"{FOLDER}/{hour:%Y/%m/%d/%H}/{hour:%Y%m%dT%H}0001Z_9f2a.json.gz"
    account.s3.put_object(Bucket=BUCKET, Key=key, Body=record)
    assert account.invoke("reconciler", schedule)["settled"] == 1
    account.invoke("jwks", schedule)
    account.ask_authorizer()
    account.invoke("admin", events.request("GET", "/admin/usage", role="pantheon:operator"))


@contextmanager
def account(folder: Path) -> Iterator[Account]:
    """An environment as a stage's functions have it, all of it in this process's own."""
    moto = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    moto.start()
    endpoint = f"http://{HOST}:{moto.get_host_and_port()[1]}"
    for name in [name for name in os.environ if name.startswith(("AWS_", "PANTHEON_"))]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT | {f"AWS_ENDPOINT_URL_{service}": endpoint for service in SERVED})
    s3 = boto3.client("s3")
    for bucket in (BUCKET, KEYS):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    queue = boto3.client("sqs").create_queue(QueueName="turns")["QueueUrl"]
    keys = Issuer("key")
    with (
        postgres.start(folder / "postgres", settings={"fsync": "off"}) as server,
        FakeBedrock() as bedrock,
        serving(keys) as issuer,
    ):
        roles = database.role_urls(server.url)
        owner = json.dumps({"username": "postgres", "password": urlsplit(server.url).password})
        secret = boto3.client("secretsmanager").create_secret(Name="owner", SecretString=owner)["ARN"]
        os.environ.update(
            {
                Env.STAGE: STAGE,
                Env.LLM_PROVIDER: "bedrock",
                Env.APP_DATABASE_URL: roles.app,
                Env.OPS_DATABASE_URL: roles.ops,
                Env.OPERATOR_DATABASE_URL: roles.operator,
                Env.OWNER_DATABASE_URL: server.url,
                Env.OWNER_SECRET_ARN: secret,
                Env.QUEUE_URL: queue,
                Env.INVOCATION_LOG: f"s3://{BUCKET}/{FOLDER}",
                Env.AUTH_DATABASE_URL: roles.auth,
                Env.JWT_ISSUER: issuer,
                Env.JWT_AUDIENCE: AUDIENCE,
                Env.JWKS_URL: f"s3://{KEYS}/jwks.json",
                Env.TURN_SECONDS: "900",
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.endpoint,
            }
        )
        with psycopg.connect(server.url, autocommit=True, row_factory=dict_row) as connection:
            yield Account(connection, Database(roles.app), bedrock, s3, keys, issuer)
    moto.stop()


def main() -> None:
    output = os.dup(1)
    # Log lines of the functions go to the same place as the servers' access logs.
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder, account(Path(folder)) as made:
        made.watch()
        exercise(made)
    called = {entry.name: sorted(made.called[entry.name]) for entry in ENTRIES}
    os.write(output, json.dumps(called).encode())


if __name__ == "__main__":
    main()
