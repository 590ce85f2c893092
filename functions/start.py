"""How a handler's modules are imported: without the garbage collector.

The rule this file protects: what a handler is made of is there for as long as its process, and is never looked
through. The collector would do so again and again while it is imported, which takes a quarter of a start, and once more
in the middle of the first request.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Nothing is collected within the block, and what it has made is left out of every later collection."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
