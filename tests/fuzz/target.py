"""Defines a fuzz target: a function of bytes that raises when the code under it raises or breaks its contract."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
_MOST_EDITS = 4


@dataclass(frozen=True)
class Target:
    """`attempt` takes one input. `words` are pieces that such inputs are made of. One that `stores` needs the
    environment of functions with a database and three agents."""

    title: str
    attempt: Callable[[bytes], None]
    words: tuple[str, ...]
    stores: bool = False


def corpus(name: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutants(seeds: list[bytes], words: tuple[str, ...], rng: random.Random) -> Iterator[bytes]:
    """Seeds with a few edits, without end. It is what can be had without coverage."""
    pieces = [word.encode() for word in words]
    while True:
        text = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, _MOST_EDITS)):
            _edit(text, pieces, seeds, rng)
        yield bytes(text)


def _edit(text: bytearray, pieces: list[bytes], seeds: list[bytes], rng: random.Random) -> None:
    start, end = sorted(rng.randint(0, len(text)) for _ in range(2))
    match rng.randrange(5):
        case 0:
            del text[start : min(end, start + 8)]
        case 1:
            text[start:start] = rng.choice(pieces)
        case 2:
            text[start:start] = text[start:end]
        case 3:
            text[start : start + 1] = rng.randbytes(1)
        case 4:
            other = rng.choice(seeds)
            text[start:] = other[rng.randint(0, len(other)) :]
