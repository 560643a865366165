"""A server of a test that answers in a thread of its own, whichever kind it is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer


@contextmanager
def answering(listener: BaseServer) -> Iterator[None]:
    """Let a listener answer until the block ends, and close it."""
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
