"""Honest and hostile tenants side by side: the bounds of money and rates are checked throughout, and at the end the
ledger is compared with the provider's own log."""
