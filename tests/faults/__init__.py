"""Kill processes at any time, then check that every turn ends once and that the ledger equals the provider's log.

The real handlers run in processes of their own, against a PostgreSQL with fsync on and a provider over HTTP that fsyncs
its own log. Production code has no switch for faults: a forked process is instrumented from outside.

    python -m tests.faults --seed 7 --only kill      # `make faults` runs all, and writes docs/reliability/faults.md
"""
