"""Random input and load by the thousand: each row of the table is a module of its own.

    python -m tests.soak --seed 7 --only machine     # `make soak` runs all, and writes docs/reliability/soak.md

A row runs in a process of its own without threads: it may open a `tests.faults.world.World` in its directory. Its child
processes end with it, and it ends with its parent, even if the parent is killed.
"""
