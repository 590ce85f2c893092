"""What people would not think of trying, tried by the thousand: each row of the table is a module of its own.

    python -m tests.soak --seed 7 --only machine     # `make soak` runs all, and writes docs/reliability/soak.md

A row runs in a process of its own, that has no thread yet: it may open a `tests.faults.world.World` in its directory.
What it starts ends with it, and it ends with who asked for it, however that ends.
"""
