"""Run the handlers of two releases on one database, whose schema is the newer one's.

Invariant: either release finishes a turn that the other one began. Every call is in the journal and on the ledger once,
during a deployment and after its rollback.
"""
