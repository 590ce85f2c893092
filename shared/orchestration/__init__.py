"""Decide which agents are asked, in which order, and what each sees. The journal is passed in."""
