"""Lists texts that make a careless parser slow: each grows with its size and resembles the beginning of a structure."""

from collections.abc import Callable, Mapping

Text = Callable[[int], str]


def repeated(piece: str, before: str = "", after: str = "") -> Text:
    """Return a text of `piece`, repeated to `size` characters, between `before` and `after`."""
    return lambda size: before + piece * (size // len(piece)) + after


def numbered(piece: str, before: str = "", after: str = "") -> Text:
    """As `repeated`, with another number of five digits for the `#` in each piece."""
    length = len(piece) + 4
    return lambda size: before + "".join(piece.replace("#", str(10_000 + n)) for n in range(size // length)) + after


def _runs(most: int) -> Text:
    """Runs of backticks, each one longer than the one before, up to `most`."""
    return lambda size: " ".join("`" * (1 + number % most) for number in range(size // most * 3 + most))[:size]


_PIECES = (
    *(
        "\n",
        " ",
        "\t\n",
        "\r\n",
        "\x0b",
        "\u2028",
        "`",
        "` ",
        "```\n",
        "`\n",
        "\n```",
        "@",
        "@a",
        "@a-",
        "@-",
        "a-",
        "-",
    ),
    *("{", "}", "[", "]", "{[", '{"a":', "[[],", '"', '\\"', "\\", "\\u0000", "\\ud83d", ",", ", ", ";", ";q=", ":"),
    *(
        "0",
        "1",
        "9",
        "0.",
        "1e",
        ".",
        "..",
        "a",
        "a.",
        "=",
        "_",
        "/",
        "%",
        "<",
        "<think>",
        "</think>",
        "a </think> ",
        "a <think> ",
        "`a</think>b` ",
        "<think>a</think> ",
        "```\n<think>\n",
        "<quote",
        "<\u0301",
        "<\u200b\U000e0071",
        "\U000e003c",
        "<ⓠ",
        "<s",
        "[/INST",
        "<|a",
        "&#0",
        "<quoted",
        "(",
        "()",
        "1)",
        "- ",
        "•",
    ),
    *("\u0301", "\u0301\u0323", "\u0323\u0301\u0315", "a\u0301", "\ufdfa", "ß", "İ", "😀", "\x00", "\ufffd", "·"),
)
REPEATED: Mapping[str, Text] = {repr(piece): repeated(piece) for piece in _PIECES}
# Texts whose structure begins, fills the size and lacks its end.
UNENDED: Mapping[str, Text] = {
    "fence of newlines": repeated("\n", "```json\n", "x"),
    "fence of blanks": repeated(" ", "```\n", "x"),
    "fence of fences": repeated("\n```", "```json\n", "x"),
    "fence that ends late": repeated(" \n", "```json\n", "```"),
    "object of blanks": repeated(" ", "{", "x"),
    "string": repeated("a", '{"a": "'),
    "escapes": repeated("\\u0301", '{"a": "'),
    "digits in an object": repeated("9", '{"a": '),
    "fraction in an object": repeated("9", '{"a": 0.', "}"),
    "nested objects": repeated('{"a":', "", "1"),
    "nested lists": repeated("[", '{"a":', "}"),
    "lists in an object": repeated("[],", '{"a": [', "0]}"),
    "members": numbered('"#": 1,', "{", '"a": 1}'),
    "objects": repeated("{} "),
    "marks after a letter": repeated("\u0323\u0301", "F"),
    "zeros of an id": repeated("0", "F", "x"),
    "brackets of an id": repeated("[", "", "F1"),
    "tag of hyphens": repeated("a-", "@"),
    "tag of marks": repeated("\u0301\u0323", "@a"),
    "tags": numbered("@tag# "),
    "few runs of backticks": _runs(200),
    "many runs of backticks": _runs(10),
    "mark of blanks": repeated(" ", "<", "/quoted>"),
    "mark of accents": repeated("\u0301", "<q", "uoted>"),
    "mark of tags": repeated("\U000e0071", "\U000e003c<"),
    "mark of brackets": repeated("<\u200b", "", "\U000e0071"),
    "mark of an instruction": repeated("/", "[", "INST"),
    "mark of a template": repeated("a", "<|", "|>"),
    "address": repeated("a.", "https://", "/"),
    "bearer": repeated(" ", "Bearer"),
    "key": repeated("a", "Bearer pan_"),
    "token": repeated("a.", "Bearer "),
    "bullets": repeated("- ", "-"),
}
# Answers of a summariser, in the right shape.
CHANGES: Mapping[str, Text] = {
    "facts": numbered('"#",', '{"key_facts": ["first",', '"last"]}'),
    "a fact of blanks": repeated(" ", '{"key_facts": ["', '"]}'),
    "closed items": numbered('{"id": "F#", "reason": "done"},', '{"close": [', '{"id": "F1", "reason": "done"}]}'),
    "replaced items": numbered('{"id": "F#", "text": "a"},', '{"replace": [', '{"id": "F1", "text": "b"}]}'),
    "an id of marks": repeated("\u0323\u0301", '{"close": [{"id": "F1', '", "reason": "done"}]}'),
    "a reason of blanks": repeated(" ", '{"close": [{"id": "F1", "reason": "', 'x"}]}'),
    "a key of marks": repeated("\u0323\u0301", '{"selected_agent_keys": ["a', '"]}'),
    "keys of agents": numbered('"#",', '{"selected_agent_keys": [', '"writer"]}'),
}
HOSTILE: Mapping[str, Text] = {**REPEATED, **UNENDED, **CHANGES}
