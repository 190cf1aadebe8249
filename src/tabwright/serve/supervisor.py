"""uvicorn's supervisor of several processes, which replaces a dead one at once."""

from __future__ import annotations

from uvicorn.supervisors import Multiprocess


class Supervisor(Multiprocess):
    """Ends its wait for a worker's answer when the worker dies; uvicorn would wait for its whole time-out."""

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            process.child_conn.close()  # the worker has its own; with none open here, its death ends the pipe
        super().keep_subprocess_alive()
