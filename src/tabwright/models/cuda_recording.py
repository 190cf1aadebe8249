"""A step of training recorded once and repeated by the graphics processor without its parts being launched again."""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_CALLS = 3  # on a stream of their own, which PyTorch asks for before a recording


class Recording:
    """``step`` as one CUDA graph: for small networks, launching the parts takes longer than they do.

    What it reads and writes has to stay where it is in memory; ``generator`` is what it draws from.
    """

    def __init__(self, step: Callable[[], None], generator: torch.Generator) -> None:
        self.step, self.generator = step, generator
        self.warm_calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self.graph is not None:
            self.graph.replay()
        elif self.warm_calls < WARM_CALLS:
            self._warm_up()
        else:
            self.graph = torch.cuda.CUDAGraph()
            self.graph.register_generator_state(self.generator)
            with torch.cuda.graph(self.graph):
                self.step()
            self.graph.replay()

    def _warm_up(self) -> None:
        self.warm_calls += 1
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self.step()
        current.wait_stream(stream)
