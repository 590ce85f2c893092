"""The release drill: two releases' real handlers on one database, which has the newer one's schema.

The rule this package protects: while a release is on its way, and when it is undone, a turn that either of the two has
begun is finished by the other, with every call in the journal and on the ledger once.
"""
