"""Import a handler's modules without garbage collection and without a search for pydantic's plugins.

Imported modules live as long as the process. Collections during the import take a quarter of a start, and one more runs
in the first request. There are no plugins, and the search for one reads the metadata of every installed package.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Collect nothing within the block, and exclude its objects from later collections."""
    collects = gc.isenabled()
    gc.disable()
    # Pydantic reads it at the first model, which may come after the block.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
