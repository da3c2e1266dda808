"""Profiles and marks of the whole suite."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# One thread for torch: its threads wait for each other by spinning, and beside another busy process small networks take ten
# times as long. Set before anything imports torch, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("dev", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
