"""Tests that a user sees the machine's real model write, in the console of `pantheon run`."""

import re
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.support.pages.console import opened
from tests.support.pages.talk import Talk
from tests.support.processes import eventually
from tests.support.stack.tenant import agent, environ, open_client

# Generous: a machine that tests other things at the same time lets a call wait for 10 s and more.
LIMITS = {"llm_provider": "local", "max_call_s": 60, "turn_seconds": 120}
PATIENCE_MS = 90_000
# Keep the text after each change, because the model may be faster than the test.
_WATCH = """() => {
    window.seen = [];
    new MutationObserver(() => {
        const text = document.querySelector("article article .markdown")?.textContent ?? "";
        if (text && text !== window.seen.at(-1)) window.seen.push(text);
    }).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""


def test_the_words_of_the_local_model_appear_one_after_the_other(chromium: Browser, tmp_path: Path) -> None:
    with Stack.start(environ(tmp_path, **LIMITS)) as stack, opened(chromium, stack.url) as console:
        token = stack.token(tenant="local-model")
        with open_client(stack.url, token) as http:
            assert http.post("agents", json=agent("writer", max_output_tokens=32)).status_code == 201
            console.sign_in(token)
            asked = Talk(console.page)
            console.page.evaluate(_WATCH)
            asked.send("Count from one to twenty in words.")
            expect(asked.replies).to_contain_text("done", timeout=PATIENCE_MS)
            asked.ended()
            sessions = http.get("sessions").json()["items"]
            (turn,) = http.get(f"sessions/{sessions[0]['id']}/turns").json()["items"]
        seen: list[str] = console.page.evaluate("window.seen")
        assert seen[0].split()[0] in turn["replies"][0]["text"]
        assert len(seen) >= 3
        # Until the turn ends, each text goes on where the one before ended. Markdown takes marks away, and no letters.
        words = [re.sub(r"[^A-Za-z]", "", text) for text in seen[:-1]]
        assert all(later.startswith(earlier) for earlier, later in pairwise(words))
        assert len(words[-1]) > len(words[0])
        eventually(lambda: "$" in asked.replies.inner_text())
        assert console.faults == []
