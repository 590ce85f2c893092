"""What the provider's own record says, against the journal: calls of unknown outcome get their actual cost."""
