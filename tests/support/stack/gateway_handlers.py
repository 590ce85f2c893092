"""Defines handlers that fail on request. They run in the pool's processes and write files for the test."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

# Mangum does this when a handler's module is imported: the loop exists before the fork.
_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)
_DEADLINE_S = 20.0


def marks() -> Path:
    return Path(os.environ["MARKS"])


def mark(name: str, text: str = "") -> None:
    unfinished = marks() / f".{name}-{os.getpid()}"
    unfinished.write_text(text)
    unfinished.rename(marks() / name)


def wait_for(count: int, pattern: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while len(list(marks().glob(pattern))) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(pattern)
        time.sleep(0.005)


def echo(event: Any, context: Any) -> Any:
    return {
        "statusCode": 200,
        "headers": {"x-pid": str(os.getpid()), "x-parent": str(os.getppid())},
        "body": event.get("body") or "",
    }


def authorize(event: Any, context: Any) -> Any:
    """Stand in for the authorizer: allow the token `good`, misbehave as a token says, and refuse every other one."""
    mark(f"authorized-{uuid4()}")
    token = event["headers"]["authorization"].removeprefix("Bearer ")
    if token in (misdeeds := {"hang": hang, "die": die, "fail": fail}):
        misdeeds[token](event, context)
    api, stage = event["methodArn"].split("/")[:2]
    resource = f"{api}/{stage}/GET/api/v1/agents" if token == "narrow" else f"{api}/{stage}/*"
    effect = "Allow" if token in ("good", "narrow") else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    caller = {"user": "ada", "tenant": "acme", "roles": '["member"]', "key_id": "", "email": ""}
    reason = "The token is malformed."
    refusal = {"reason": reason, "challenge": f'Bearer error="invalid_token", error_description="{reason}"'}
    return {
        "principalId": 1 if token == "garbage" else "ada",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": caller if effect == "Allow" else refusal,
    }


def reveal(event: Any, context: Any) -> Any:
    return {"statusCode": 200, "body": json.dumps(event)}


def encoded(event: Any, context: Any) -> Any:
    """Answer as a function may that has binary media types."""
    return {"statusCode": 200, "body": "aGVsbG8=", "isBase64Encoded": True}


def environment(event: Any, context: Any) -> Any:
    return dict(os.environ)


def context(event: Any, context: Any) -> Any:
    before = context.get_remaining_time_in_millis()
    while context.get_remaining_time_in_millis() == before:
        time.sleep(0.001)
    return {
        "before": before,
        "after": context.get_remaining_time_in_millis(),
        "function_name": context.function_name,
        "arn": context.invoked_function_arn,
        "request_id": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "version": context.function_version,
    }


def by_path(event: Any, context: Any) -> Any:
    """Do what the last part of the path says. Otherwise echo."""
    actions = {
        **{"hang": hang, "die": die, "fail": fail, "meet": meet, "alone": alone, "finish": finish},
        **{"reveal": reveal, "encoded": encoded},
    }
    return actions.get(event["path"].strip("/").split("/")[-1], echo)(event, context)


def hang(event: Any, context: Any) -> Any:
    mark("hanging", str(os.getpid()))
    signal.pause()


def die(event: Any, context: Any) -> Any:
    mark("dying", str(os.getpid()))
    print("last words")  # noqa: T201
    os._exit(1)


def fail(event: Any, context: Any) -> Any:
    mark("failing", str(os.getpid()))
    raise ValueError("the handler's own secret")


def meet(event: Any, context: Any) -> Any:
    """Return once sixteen invocations are under way at the same time."""
    mark(f"met-{context.aws_request_id}")
    wait_for(16, "met-*")
    return echo(event, context)


def alone(event: Any, context: Any) -> Any:
    """Fail if this process serves another invocation right now."""
    busy = marks() / f"busy-{os.getpid()}"
    busy.touch(exist_ok=False)
    time.sleep(0.002)
    busy.unlink()
    return echo(event, context)


def finish(event: Any, context: Any) -> Any:
    mark("started")
    wait_for(1, "go")
    mark("finished")
    return echo(event, context)


def wake(event: Any, context: Any) -> Any:
    """Wait in the event loop for another thread, many times, while other processes do the same."""
    mark(f"met-{context.aws_request_id}")
    wait_for(event["together"], "met-*")

    async def work() -> None:
        for _ in range(200):
            await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.0005)

    asyncio.get_event_loop().run_until_complete(work())


def large(event: Any, context: Any) -> Any:
    return "x" * event["bytes"]


def unspeakable(event: Any, context: Any) -> Any:
    return {1, 2}


def write_logs(event: Any, context: Any) -> Any:
    for number in range(50):
        print(f"{os.getpid()} {number} " + "x" * 500)  # noqa: T201


def modules(_event: Any, _context: Any) -> list[str]:
    """The names of the modules that were imported."""
    return sorted(sys.modules)
