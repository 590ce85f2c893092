"""Providers behind one port. A provider makes one call, once, and says what came of it; it never retries."""
