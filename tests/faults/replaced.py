"""Put other members into a class or a module of this process, for good."""


def replaced(owner: object, **members: object) -> None:
    for name, member in members.items():
        setattr(owner, name, member)
