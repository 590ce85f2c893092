"""Three example graphs. docs/graphs.md explains how to write and configure a graph."""
