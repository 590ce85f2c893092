"""Give calls of unknown outcome their actual cost from the provider's own record."""
