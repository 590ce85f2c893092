"""Lists input that is wrong at each operation and in each field."""

import json

BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "half of a string": b'{"message": "hel',
    "two documents": b"{}{}",
    "null": b"null",
    "a list": b"[]",
    "a string": b'"hello"',
    "a number": b"1",
    "NaN": b"NaN",
    "invalid UTF-8": b'{"message": \xff\xfe}',
    "nothing but bytes": bytes(range(256)),
    "a bare NUL": b'{"message": "a\x00b"}',
    "lists, 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects, 50,000 deep": b'{"message":' * 50_000 + b"1" + b"}" * 50_000,
    "a number of 10,000 digits": b'{"max_output_tokens": ' + b"9" * 10_000 + b"}",
    "five million blanks": b" " * 5_000_000,
}
CONTENT_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "image/png",
    "x",
    "",
]
# As JSON, each wrong in whatever field it stands.
VALUES = {
    "an object": "{}",
    "a list of lists": "[[]]",
    "a list of null": "[null]",
    "a list of nothing": '[""]',
    "10,000 items": json.dumps([f"agent-{number}" for number in range(10_000)]),
    "NUL": r'"a\u0000b"',
    "a lone surrogate": r'"a\ud83db"',
    "surrogates in the wrong order": r'"\ude00\ud83d"',
    "a list of a NUL": r'["a\u0000"]',
    "32,769 characters": json.dumps("x" * 32_769),
    "a million characters": json.dumps("x" * 1_000_000),
    "NaN": "NaN",
    "infinity": "Infinity",
    "more than any float": "1e400",
    "less than nothing": "-1",
    "more than any column": str(10**40),
    "deep lists": "[" * 900 + "]" * 900,
}
# One or more of every type.
OF_EACH_TYPE = [True, False, 0, 1, 1.5, "1", "true", "", ["1"], [1], {"key": "writer"}]
# Names of fields that no operation knows.
FIELDS = {
    "a word": ["surprise"],
    "nothing": [""],
    "another case": ["Message"],
    "NUL": ["a\x00b"],
    "a lone surrogate": ["a\ud83db"],
    "a name of the language": ["__class__", "__proto__"],
    "a long name": ["x" * 100_000],
    "10,000 names": [f"field-{number}" for number in range(10_000)],
}
SEGMENTS = {
    "a word": "nope",
    "no UUID": "00000000-0000-0000-0000-00000000000g",
    "nobody's": "00000000-0000-0000-0000-000000000000",
    "a number": "1",
    "NUL": "%00",
    "a slash": "%2F",
    "two dots": "%2e%2e",
    "a blank": "%20",
    "a letter": "%C3%A9",
    "an emoji": "%F0%9F%98%80",
    "invalid UTF-8": "%FF",
    "an encoded lone surrogate": "%ED%A0%80",
    "a question mark": "%3F",
    "a quote": "'%3B--",
    "two thousand letters": "a" * 2_000,
}
# Filters by a name that may be any text. A name that nobody has finds nothing.
NAMES_TO_FILTER_BY = {"agent_key", "model_alias", "provider", "user_id"}
QUERIES_OF_NO_NAME = ["%00", "x" * 3_000]
QUERIES = ["x", "-1", "NaN", "Infinity", "-inf", "1e400", "%00", "%FF", "%ED%A0%80", "x" * 3_000, "%5B%5D"]
# Contents of cursors that no list returns.
CURSORS = {
    **{text: text for text in ("null", "true", "{}", "[]", '"x"', "[1]", "NaN", "Infinity", "1e400", "-1e400")},
    "no time": '["yesterday", "writer"]',
    "a time beyond the calendar": '["99999-01-01", "writer"]',
    "a key that is none": '["2026-01-01T00:00:00+00:00", {}]',
    "deep": "[" * 300,
}
# These have the shape of one that a list gives out, with something in them that no column can hold.
ODD_CURSORS = {
    "a number beyond columns": str(10**30),
    "a number just beyond": str(2**31),
    "a float": "1.5",
    "a key with NUL": r'["2026-01-01T00:00:00+00:00", "a\u0000"]',
    "a key with a surrogate": r'["2026-01-01T00:00:00+00:00", "\ud800"]',
    "the first of all days": '["0001-01-01T00:00:00+23:59", "writer"]',
    "the last of all days": '["9999-12-31T23:59:59-23:59", "writer"]',
    "a day without a zone": '["2026-01-01", "writer"]',
}
