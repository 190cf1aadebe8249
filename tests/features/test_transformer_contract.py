import pytest

from tabwright.features import ENCODERS, STEPS
from tabwright.testing.transformers import EncoderContract, StepContract


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e.name)
class TestEncoders(EncoderContract):
    pass


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.name)
class TestSteps(StepContract):
    pass
