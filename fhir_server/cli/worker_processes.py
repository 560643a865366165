"""The processes that `serve` runs: they share one listening socket, and are replaced one after the other at SIGHUP.

Granian gives each process a socket of its own, which is closed with whatever waits in it, and ends the old process some
seconds after it started the new one, ready or not. Here connections wait in one queue, which outlives every worker, and
a worker ends only when its successor has loaded the application.
"""

from __future__ import annotations

import logging
import multiprocessing
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

from granian.net import SocketSpec  # type: ignore[attr-defined]
from granian.server.mp import MPServer, WorkerProcess

_LOG = logging.getLogger("fhir_server.serve")
_LOOK_EVERY_S = 0.05


class WorkerProcesses(MPServer):
    """Granian with one queue of connections. INVARIANT: it overrides what granian keeps to itself; a test holds it."""

    def _init_shared_socket(self) -> None:
        self._ssp = None
        holder = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._shd, self._sfd = holder, holder.get_fd()  # type: ignore[assignment]
        # Only what is sent as a socket of Python's is inherited.
        self._sso = socket.socket(fileno=self._sfd)
        self._sso.set_inheritable(True)

    def _respawn_workers(
        self, workers: Sequence[int], spawn_target: Any, target_loader: Callable[[], Any], delay: float = 0.0
    ) -> None:
        """Replace workers, of which some may have died; one whose successor does not start goes on."""
        del delay
        # A forked one would have the modules of the start, old code, and would not end while it loads.
        multiprocessing.set_start_method("spawn", force=True)
        for index in workers:
            if self._is_stopping():
                return
            self.respawned_wrks[index] = time.monotonic()
            ready = multiprocessing.get_context("spawn").Event()
            successor = self._spawn_worker(index, spawn_target, partial(_load, target_loader, ready))
            # Until it is ready its end is for us to notice, not for granian, which would end the server.
            successor.interrupt_by_parent = True
            successor.start()
            while not (ready.wait(_LOOK_EVERY_S) or self._is_stopping()):
                if not successor.is_alive():
                    break
            if ready.is_set():
                successor.interrupt_by_parent = False
                old, self.wrks[index] = self.wrks[index], successor
                self._end(old)
                # It may have died meanwhile: that is mended, and no crash loop.
                self.interrupt_children[:] = [each for each in self.interrupt_children if each != index]
                continue
            self._end(successor)
            if self._is_stopping():
                return
            if self.wrks[index].is_alive():
                _LOG.error("a new worker did not start: the old one goes on")
            else:
                # There is nobody else to serve: granian tries once more, or gives up.
                self.interrupt_children.append(index)
                self.main_loop_interrupt.set()

    def _is_stopping(self) -> bool:
        """Return whether the server was told to end, which may be at any moment."""
        return self.interrupt_signal

    def _end(self, worker: WorkerProcess) -> None:
        worker.terminate()
        worker.join(self.workers_kill_timeout)
        if worker.is_alive():
            worker.kill()
            worker.join()


def _load(load: Callable[[], Any], ready: Event) -> Any:
    """Load the application in a new process, and say so."""
    application = load()
    ready.set()
    return application
