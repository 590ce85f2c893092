"""Turns that were handed over, posted to be answered later, or left behind by a process that died."""
