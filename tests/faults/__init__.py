"""Kill anything at any time, and look: every turn ends, once, and the ledger equals the provider's own log.

The real handlers run in processes of their own, against a PostgreSQL with fsync on and a provider over HTTP that
fsyncs its own log. Production code has no switch for any of it: a forked process is instrumented from outside.

    python -m tests.faults --seed 7 --only kill      # `make faults` runs all, and writes docs/reliability/faults.md
"""
