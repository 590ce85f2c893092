"""Providers behind one port. A provider sends one request once and returns its outcome; it never retries."""
