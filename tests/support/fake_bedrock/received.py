"""Reads a Converse request into the form of the fake provider's moods and rules."""

from urllib.parse import unquote

from tests.support.fake_provider import moods


class Received(moods.Received):
    @property
    def is_stream(self) -> bool:
        return self.path.endswith("-stream")

    @property
    def model_id(self) -> str:
        return unquote(self.path.removeprefix("/model/").removesuffix("-stream").removesuffix("/converse"))

    @property
    def messages(self) -> list[dict[str, str]]:
        """A message a block of text, the system's first."""
        said = [{"role": "system", "content": self.body.get("system", [])}, *self.body.get("messages", [])]
        return [
            {"role": message["role"], "content": block["text"]}
            for message in said
            for block in message["content"]
            if "text" in block
        ]
