"""Measure what the authorizer takes for a credential that API Gateway does not know yet, beside the bare libraries.

    python -m bench.authorizer    writes its table, from 500 answers of each side
    python -m bench.authorizer --answers 100 --print

The bare side decodes the token with PyJWT and a key in memory, or selects the key's row by its hash, and nothing else.
"""

import argparse
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import psycopg

from bench import report
from bench.turn import WARM_UP
from local import postgres
from local.database import prepare
from local.gateway.tokens import AUDIENCE, ISSUER, TokenKey
from local.gateway.worker import LambdaContext
from shared.domain.api_key import hash_key, new_key, prefix_of
from shared.names import API_STAGE, Env
from shared.settings import authorizer_settings

COLUMNS = ("credential", "bare", "authorizer", "of its own", "ratio")
_ARN = f"arn:aws:execute-api:eu-central-1:000000000000:bench/{API_STAGE}/GET/api/v1/agents"
_INSERT = """INSERT INTO api_keys (id, tenant_id, name, role, prefix, key_hash, created_by)
    VALUES (%s, 'bench', 'bench', 'member', %s, %s, 'bench')"""

Side = Callable[[str], Mapping[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=500, help="answers per side (500)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    given = parser.parse_args()
    with _world() as (owner, issuer), redirect_stdout(io.StringIO()):
        from functions.authorizer.handler import handler

        context = LambdaContext("authorizer", "bench", time.monotonic() + 3600)

        def ask(credential: str) -> Mapping[str, Any]:
            answer = handler(_event(credential), context)
            assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
            return answer

        (public,) = jwt.PyJWKSet.from_dict(issuer.jwks).keys

        def decode(token: str) -> Mapping[str, Any]:
            claims: Mapping[str, Any] = jwt.decode(token, public, ["RS256"], audience=AUDIENCE, issuer=ISSUER)
            return claims

        rows = [
            _row("a token", _tokens(issuer), decode, ask, given.answers),
            _row("an API key", _keys(owner), lambda key: _select(owner, key), ask, given.answers),
        ]
    report.write("authorizer", COLUMNS, rows, f"{given.answers} answers of each side", only_print=given.print)


def _row(name: str, credentials: Iterator[str], bare: Side, ask: Side, answers: int) -> list[str]:
    times: list[list[float]] = [[], []]
    for number in range(WARM_UP + answers):
        credential = next(credentials)
        for side, taken in zip((bare, ask), times, strict=True):
            started = time.perf_counter()
            side(credential)
            if number >= WARM_UP:
                taken.append((time.perf_counter() - started) * 1000)
    floor, ours = map(statistics.median, times)
    return [name, f"{floor:.2f} ms", f"{ours:.2f} ms", f"{ours - floor:.2f} ms", f"{ours / floor:.1f}"]


def _event(credential: str) -> dict[str, Any]:
    headers = {"Authorization": [f"Bearer {credential}"], "Host": ["localhost"]}
    context = {"requestId": "bench"}
    return {"type": "REQUEST", "methodArn": _ARN, "multiValueHeaders": headers, "requestContext": context}


def _tokens(issuer: TokenKey) -> Iterator[str]:
    for number in count():
        yield issuer.issue("bench", f"user-{number}", ["member"], timedelta(hours=1))


def _keys(owner: psycopg.Connection[Any]) -> Iterator[str]:
    while True:
        key = new_key()
        owner.execute(_INSERT, (uuid4(), prefix_of(key), hash_key(key)))
        yield key


def _select(owner: psycopg.Connection[Any], key: str) -> Mapping[str, Any]:
    (row,) = owner.execute("SELECT tenant_id, role FROM api_keys WHERE key_hash = %s", (hash_key(key),)).fetchall()
    return {"tenant": row[0]}


@contextmanager
def _world() -> Iterator[tuple[psycopg.Connection[Any], TokenKey]]:
    """Set the authorizer's environment in this process. Return the owner's connection and the issuer's key."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        issuer = TokenKey.load_or_create(folder)
        (folder / "jwks.json").write_text(json.dumps(issuer.jwks))
        with postgres.start(folder / "postgres") as server:
            urls = prepare(server.url)
            os.environ |= {
                Env.AUTH_DATABASE_URL: urls.auth,
                Env.JWT_ISSUER: ISSUER,
                Env.JWT_AUDIENCE: AUDIENCE,
                Env.JWKS_URL: (folder / "jwks.json").as_uri(),
            }
            authorizer_settings.cache_clear()
            with psycopg.connect(server.url, autocommit=True, prepare_threshold=0) as owner:
                yield owner, issuer


if __name__ == "__main__":
    main()
