"""How a token may name a user or a tenant."""


def is_identifier(value: object) -> bool:
    """Whether `value` is 1 to 255 printable characters."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()
