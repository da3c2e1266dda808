"""Profiles and markers of the whole suite."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
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

# What `make quick` leaves out, by the beginning of a test's id; single tests are marked where they are. A test that uses one
# of FIXTURES is marked as well.
MARKERS: dict[str, tuple[str, ...]] = {
    "training": (
        "tests/cli/test_train.py",
        "tests/compatibility/test_runs.py",
        "tests/compatibility/test_exit_codes.py::test_a_command_with_torch",
        "tests/data/test_synthetic.py::test_a_linear_classifier",
        "tests/data/test_synthetic.py::test_four_convolutions",
        "tests/inference/test_trained.py",
        "tests/test_fuzz.py",
        "tests/test_loaded_specs.py::test_it_can_be_trained",
        "tests/training/test_bad_input.py",
        "tests/training/test_loop.py",
        "tests/training/test_plan.py",
        "tests/training/test_runs.py",
        "tests/training/test_segments.py",
    ),
    "subprocess": (
        "tests/cli/test_missing_packages.py",
        "tests/outputs/test_diagram.py::test_a_path_that_cannot_be_written",
        "tests/outputs/test_diagram.py::test_drawing_leaves_torch_alone",
        "tests/outputs/test_diagram.py::test_drawing_needs_no_installed_graphviz",
        "tests/outputs/test_diagram.py::test_without_any_renderer",
        "tests/outputs/test_rendering.py",
        "tests/report/test_curves.py",
        "tests/test_architecture.py::test_torch_stays_out",
        "tests/test_fuzz.py",
        "tests/test_hostile.py",
        "tests/training/test_batches.py",
    ),
    "slow": (
        "tests/analysis/test_memory.py",
        "tests/compatibility/test_exit_codes.py::test_a_command_without_torch",
        "tests/analysis/test_receptive_field.py::test_fields_are",
        "tests/diagnostics/test_fixes.py",
        "tests/diagnostics/test_many_findings.py",
        "tests/graph/test_in_place.py",
        "tests/analysis/test_sizes.py",
        "tests/language/test_editing.py",
        "tests/language/test_extends_limits.py",
        "tests/language/test_merge.py::test_data_merges",
        "tests/language/test_reader.py::test_a_bomb",
        "tests/language/test_reader.py::test_limits",
        "tests/language/test_writer.py::test_a_value_on_one_line",
        "tests/language/test_writer.py::test_every_value",
        "tests/lowering/test_limits.py",
        "tests/networks/test_golden.py::test_a_mixin",
        "tests/networks/test_golden.py::test_a_plain",
        "tests/networks/test_golden.py::test_cifar",
        "tests/networks/test_golden.py::test_every_layer",
        "tests/networks/test_golden.py::test_imagenet",
        "tests/networks/test_golden.py::test_the_module",
        "tests/networks/test_table.py",
        "tests/networks/test_torchvision.py",
        "tests/networks/test_variants.py",
        "tests/networks/test_zoo.py",
        "tests/outputs/test_diagram.py::test_a_dot_file_has_no_limit",
        "tests/outputs/test_diagram.py::test_the_limit_on_boxes",
        "tests/ops/test_every_field.py",
        "tests/outputs/test_torch_module.py",
        "tests/report/test_page.py",
        "tests/report/test_pictures.py",
        "tests/test_mutations.py",
        "tests/test_random_specs.py",
        "tests/training/test_recipe.py::test_a_",
    ),
}
FIXTURES = {"shell": "subprocess"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if " at 0x" in item.nodeid:  # processes that share the tests call them by their ids
            raise pytest.UsageError(f"{item.nodeid}: an address differs in each process; give the values `ids`")
        for marker, beginnings in MARKERS.items():
            if item.nodeid.startswith(beginnings):
                item.add_marker(marker)
        for fixture in FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(FIXTURES[fixture])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave thousands of collected tests out of every later collection of garbage, which takes a tenth of the time else."""
    gc.collect()
    gc.freeze()
