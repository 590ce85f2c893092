"""Make text from other people safe for a terminal."""


def visible(line: str) -> str:
    """Escape control, invisible and bidirectional characters, which could steer a terminal or hide text."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
