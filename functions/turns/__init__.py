"""The HTTP function that asks models: it runs posted turns."""
