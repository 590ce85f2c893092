"""Fuzzes each parser: for every input it must return an answer of its contract and raise nothing.

Each target also checks its answers. `make test` tries the corpus and its mutants. `make soak` runs atheris, guided by
coverage, for some minutes on each target.

    python -m tests.fuzz tags -max_total_time=60
"""
