"""One file per transformer, one line here."""

from __future__ import annotations

from tabwright.features.arithmetic import ARITHMETIC, FittedArithmetic
from tabwright.features.base import Encoder, Step
from tabwright.features.coordinates import COORDINATES, FittedCoordinates
from tabwright.features.cross_mean import CROSS_MEAN, FittedCrossMean
from tabwright.features.dates import DATES, FittedDates
from tabwright.features.deviation import DEVIATION, FittedDeviation
from tabwright.features.frequency import FREQUENCY, FittedFrequency
from tabwright.features.impute import IMPUTE, FittedImpute
from tabwright.features.keys import Key
from tabwright.features.numbers import NUMBERS, FittedNumbers
from tabwright.features.one_hot import ONE_HOT, FittedOneHot
from tabwright.features.ordinal import ORDINAL, FittedOrdinal
from tabwright.features.piecewise import PIECEWISE, FittedPiecewise
from tabwright.features.scale import SCALE, FittedScale
from tabwright.features.spatial_mean import SPATIAL_MEAN, FittedSpatialMean
from tabwright.features.target_mean import TARGET_MEAN, FittedTargetMean
from tabwright.features.text import TEXT, FittedText, FittedTexts

ENCODERS: tuple[Encoder, ...] = (
    NUMBERS, DATES, COORDINATES, ORDINAL, ONE_HOT, FREQUENCY, TARGET_MEAN, SPATIAL_MEAN, TEXT,
    ARITHMETIC, DEVIATION, CROSS_MEAN,
)  # fmt: skip
STEPS: tuple[Step, ...] = (IMPUTE, SCALE, PIECEWISE)
FITTED_CLASSES: tuple[type, ...] = (
    FittedNumbers, FittedDates, FittedCoordinates, FittedOrdinal, FittedOneHot, FittedFrequency, FittedTargetMean,
    FittedSpatialMean, Key, FittedArithmetic, FittedDeviation, FittedCrossMean,
    FittedText, FittedTexts, FittedImpute, FittedScale, FittedPiecewise,
)  # fmt: skip
