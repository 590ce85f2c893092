"""Three graphs to begin with: docs/graphs.md explains how to write and configure one."""
