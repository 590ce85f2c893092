"""Replaces members of a class or a module for the rest of this process."""


def replaced(owner: object, **members: object) -> None:
    for name, member in members.items():
        setattr(owner, name, member)
