"""Tests how lists of origins are read."""

import re

import pytest

from shared.domain.origins import origin_pattern
from shared.errors import ConfigurationError

LOCAL = "http://localhost:*,http://127.0.0.1:*"


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        (LOCAL, "http://localhost:3000"),
        (LOCAL, "http://localhost"),
        (LOCAL, "http://127.0.0.1:65535"),
        ("https://chat.example.org", "https://chat.example.org"),
        ("https://a.example, https://b.example:8443 ,", "https://b.example:8443"),
        ("http://localhost:5173", "http://localhost:5173"),
    ],
)
def test_pattern_matches_a_listed_origin(origins: str, origin: str) -> None:
    assert re.fullmatch(origin_pattern(origins) or "", origin)


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        (LOCAL, "https://localhost:3000"),
        (LOCAL, "http://localhost:3000.evil.example"),
        (LOCAL, "http://localhost.evil.example"),
        (LOCAL, "http://localhost:"),
        (LOCAL, "http://127x0y0z1:80"),
        (LOCAL, "null"),
        ("https://chat.example.org", "https://chatxexample.org"),
        ("https://chat.example.org", "https://chat.example.org.evil.example"),
        ("https://chat.example.org", "https://evil.example/https://chat.example.org"),
        ("https://chat.example.org", "http://chat.example.org"),
        ("https://chat.example.org", "https://chat.example.org:444"),
        ("https://a.example,https://b.example", "https://a.example|https://b.example"),
        ("https://a.example,https://b.example", "https://a.example,https://b.example"),
    ],
)
def test_pattern_does_not_match_another_origin(origins: str, origin: str) -> None:
    assert not re.fullmatch(origin_pattern(origins) or "", origin)


@pytest.mark.parametrize("origins", ["", " ", ",", " , "])
def test_an_empty_list_has_no_pattern(origins: str) -> None:
    assert origin_pattern(origins) is None


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "null",
        "localhost:3000",
        "https://*.example.org",
        "https://example.org:*",
        "https://localhost:*",
        "http://localhost*",
        "https://example.org/",
        "https://example.org/path",
        "https://user@example.org",
        "https://Example.org",
        "https://",
        "https://-",
        "https://example.org:0",
        "https://example.org:65536",
        "https://example.org:080",
        "https://example.org:",
        "ftp://example.org",
        "https://a.example https://b.example",
        "https://a.example\nhttps://b.example",
    ],
    ids=ascii,
)
def test_a_wrong_origin_is_reported_with_the_name_of_the_variable(entry: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^PANTHEON_CORS_ORIGINS: "):
        origin_pattern(f"https://chat.example.org,{entry}")
