"""What tests of engines share."""

import pytest

from tabwright.search.loop import Search


@pytest.fixture
def time_over(monkeypatch):
    """Ends the time of runs so many seconds after a condition on their search holds, whatever the machine's pace."""

    def after(condition, seconds=0.0):
        show = Search._show

        def look(search):
            show(search)
            if condition(search):
                budget = search.budget
                budget.total_s = min(budget.total_s, budget.elapsed() + budget.reserve_s + seconds)

        monkeypatch.setattr(Search, "_show", look)

    return after
