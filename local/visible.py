"""Show a text of somebody else's in a terminal."""


def visible(line: str) -> str:
    """The line with escapes instead of control, invisible and bidirectional characters, which could steer a terminal
    or hide a part of the text."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
