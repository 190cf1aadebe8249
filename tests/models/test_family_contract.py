import pytest

from tabwright.models import FAMILIES
from tabwright.testing.families import FamilyContract, cases

CASES = [pytest.param(family, task, id=f"{family.name}-{task.value}") for family, task in cases(FAMILIES)]


@pytest.mark.parametrize(("family", "task"), CASES)
class TestFamilyContract(FamilyContract):
    pass
