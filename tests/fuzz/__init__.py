"""Whatever bytes come in, a parser returns what its contract says, and nothing is raised.

Each target says more of its answers than that there is one. `make test` tries the corpus and bytes made of it;
`make soak` lets coverage guide the search, minutes for each target, with atheris.

    python -m tests.fuzz tags -max_total_time=60
"""
