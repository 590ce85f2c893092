"""Accept a turn, ask its agents and publish it. Only this package knows the order of the protocol's steps."""
