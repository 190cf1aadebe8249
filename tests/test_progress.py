from rich.console import Console

from tabwright.config import Config
from tabwright.progress import render
from tabwright.search.snapshot import Snapshot


def shown(config):
    snapshot = Snapshot(20.0, 40.0, "ensemble", 0.41873, "rmse", (("mlp_1", 2),), 3, 1)
    console = Console(width=100, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(render(snapshot, config, "price"))
    return capture.get()


def test_the_display_tells_time_score_work_and_failures():
    text = shown(Config(max_runtime_secs=60))
    for part in ("price", "40 s left", "ensemble  rmse 0.41873", "mlp_1 fold 3", "3   failed 1"):
        assert part in text


def test_without_a_time_limit_it_tells_the_time_gone():
    assert "20 s gone" in shown(Config(max_runtime_secs=None, max_models=3))
