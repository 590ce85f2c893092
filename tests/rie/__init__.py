"""The bundle under Lambda's own emulator. `make rie` runs it: it takes a Python 3.13, which not every machine has."""
