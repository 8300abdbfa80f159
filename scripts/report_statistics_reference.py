#!/usr/bin/env python3
"""Prints the reference values of tests/unit/test_report_statistics.cpp. Needs SciPy.

Median and its 95 % interval come from scipy.stats.quantile_test, an implementation of its own.
"""

import random

import numpy
from scipy import stats

for count in (5, 6, 7, 9, 20, 41):
    source = random.Random(count)
    values = [round(source.lognormvariate(0, 0.5), 6) for _ in range(count)]
    interval = stats.quantile_test(values, q=numpy.median(values),
                                   p=0.5).confidence_interval(confidence_level=0.95)
    print(f"{{{{{', '.join(str(v) for v in values)}}},\n {numpy.median(values):.7g}, "
          f"{stats.variation(values, ddof=1):.12g}, {interval.low:.7g}, {interval.high:.7g}}},")
