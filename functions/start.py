"""How a handler's modules are imported: without the garbage collector, and without a search for pydantic's plugins.

The rule this file protects: what a handler is made of is there for as long as its process, and is never looked
through. The collector would do so again and again while it is imported, which takes a quarter of a start, and once more
in the middle of the first request. There are no plugins, and all that is installed would be looked through for one.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Nothing is collected within the block, and what it has made is left out of every later collection."""
    collects = gc.isenabled()
    gc.disable()
    # Read with the first model, which may come after the block.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
