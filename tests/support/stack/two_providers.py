"""Makes a catalog of two providers, each with its own key and model."""

KEYS = {"north": "sk-of-the-north-4711", "south": "sk-of-the-south-0815"}
CATALOG = """
[providers.north]
kind = "openai_compatible"
base_url = "{north}"
api_key = "env:NORTH_KEY"

[providers.south]
kind = "openai_compatible"
base_url = "{south}"
api_key = "env:SOUTH_KEY"

[aliases.fast]
provider = "north"
model_id = "aurora"
context_window = 8192
max_output_tokens = 512
rates = {{ input = "1", output = "2", cache_read = "0", cache_write = "1" }}

[aliases.deep]
provider = "south"
model_id = "penguin"
context_window = 8192
max_output_tokens = 512
rates = {{ input = "10", output = "20", cache_read = "0", cache_write = "10" }}
"""
