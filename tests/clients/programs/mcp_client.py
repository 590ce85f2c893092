"""Speak to Pantheon by the client of the `mcp` package, and print what it got as JSON.

Standard input has {"url", "token", "mode", "calls": [{"name", "arguments", "progress"}]}.
"""

import asyncio
import json
import sys
from typing import Any

import httpx2
import mcp
from mcp.client.streamable_http import streamable_http_client


async def speak(asked: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {asked['token']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        transport = streamable_http_client(asked["url"], http_client=http)
        async with mcp.Client(transport, mode=asked["mode"]) as client:
            tools = await client.list_tools()
            return {
                "version": client.protocol_version,
                "tools": [tool.name for tool in tools.tools],
                "results": [await call(client, each) for each in asked["calls"]],
            }


async def call(client: mcp.Client, asked: dict[str, Any]) -> dict[str, Any]:
    notes = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        notes.append({"progress": progress, "total": total, "message": message})

    result = await client.call_tool(
        asked["name"], asked.get("arguments"), progress_callback=hear if asked.get("progress") else None
    )
    return {**result.model_dump(mode="json", by_alias=True, exclude_none=True), "notes": notes}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(speak(json.load(sys.stdin)))))
