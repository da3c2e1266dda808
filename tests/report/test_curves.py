"""Pictures: the same bytes for the same facts, true to the numbers, quiet, and inert whatever a class is called."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from resnet_spec.report.chart_style import ChartFormat
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.confusion_picture import draw_confusion, group_shares, row_shares
from resnet_spec.report.curves import draw_curves
from resnet_spec.report.names import short_name
from resnet_spec.report.record import EpochRow
from tests.report.examples import HOSTILE, a_confusion, a_run, numbered

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_facts_give_the_same_bytes(form: ChartFormat) -> None:
    rows, matrix = a_run(5), a_confusion(numbered(5))
    assert draw_curves(rows, form, "a run") == draw_curves(rows, form, "a run")
    assert draw_confusion(matrix, form) == draw_confusion(matrix, form)


def test_nothing_of_the_users_settings_matters_or_stays_changed() -> None:
    before, picture = dict(matplotlib.rcParams), draw_curves(a_run(3), "svg", "a_b$c$")
    with matplotlib.rc_context({"axes.facecolor": "red", "text.usetex": True, "svg.fonttype": "path"}):
        assert draw_curves(a_run(3), "svg", "a_b$c$") == picture
    assert dict(matplotlib.rcParams) == before


def test_a_picture_holds_no_date_and_no_program() -> None:
    svg = draw_curves(a_run(2), "svg", "a run").decode()
    assert "<dc:date>" not in svg
    assert "matplotlib" not in svg.lower().replace("matplotlib.axis", "")
    assert set(Image.open(io.BytesIO(draw_curves(a_run(2), "png", "a run"))).info) == {"dpi"}


@pytest.mark.parametrize(
    "rows",
    [
        (),
        a_run(1),
        a_run(100, validation=False),
        tuple(
            EpochRow(i + 1, i, 0.1, 2.0 * 8.0**i if i < 5 else math.nan, 0.1, None, None, None, math.inf, 0.1) for i in range(9)
        ),
        (EpochRow(1, 1, math.nan, math.nan, math.nan), EpochRow(2, 2, math.inf, 1e300, 0.5)),
        (EpochRow(1, 1, 0.0, 0.0, 0.0), EpochRow(2, 2, 0.0, 0.0, 0.0)),
        (EpochRow(1, 1, 0.1, -1.0, 1.0, 5e-324, 1.0, 1.0), EpochRow(2, 2, 0.1, 1e29, 1.0, 1e-300, 1.0, 1.0)),
    ],
    ids=["none", "one", "many", "diverged", "nothing finite", "zeros", "far apart"],
)
def test_any_run_is_drawn_and_quietly(
    rows: tuple[EpochRow, ...], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_curves(rows, "svg", "a run")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_png_is_an_image_of_a_page_width() -> None:
    image = Image.open(io.BytesIO(draw_curves(a_run(20), "png", "a run")))
    assert image.format == "PNG"
    assert image.size == (1500, 780)


def texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_an_svg_says_what_was_measured() -> None:
    said = texts(draw_curves(a_run(20), "svg", "resnet20 on cifar10"))
    assert {"resnet20 on cifar10", "loss", "accuracy, %", "learning rate", "epoch", "train", "validation", "test"} <= set(said)
    assert "best: 86.90 in epoch 20" in said
    assert "validation" not in texts(draw_curves(a_run(20, validation=False), "svg", ""))


def test_a_loss_over_many_magnitudes_is_drawn_on_a_log_scale_and_says_so() -> None:
    rows = [EpochRow(1, 1, 0.1, 2.0, 0.5), EpochRow(2, 2, 0.1, 0.02, 0.9)]
    assert "loss (log scale)" in texts(draw_curves(rows, "svg", ""))


def test_a_hostile_name_is_drawn_as_it_stands_and_quietly(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    matrix = a_confusion(HOSTILE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = draw_confusion(matrix, "svg")
        assert draw_confusion(matrix, "png")
        for name in HOSTILE[:2]:
            assert name in texts(draw_curves(a_run(1), "svg", name))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    tree = ElementTree.fromstring(svg)
    assert {element.tag.rpartition("}")[2] for element in tree.iter()} <= {
        *("svg", "metadata", "RDF", "Work", "defs", "style", "g", "path", "use", "text", "tspan", "clipPath", "rect"),
    }
    assert not [key for element in tree.iter() for key in element.attrib if key.lower().startswith("on")]
    said = texts(svg)
    assert all(said.count(short_name(name)) == 2 for name in HOSTILE)


def test_cells_of_few_classes_say_how_many_images() -> None:
    matrix = a_confusion(numbered(6))
    said = texts(draw_confusion(matrix, "svg"))
    shown = sorted(text for text in said if text.isdecimal())
    assert shown == sorted(str(n) for row in matrix.counts for n in row if n)
    assert f"{matrix.correct} of {matrix.images} images correct ({100 * matrix.accuracy:.2f}%)" in said


@pytest.mark.parametrize(("count", "named"), [(1, 1), (2, 2), (20, 20), (50, 50), (100, 50), (1000, 48)])
def test_any_number_of_classes_is_drawn_with_as_many_names_as_can_be_read(count: int, named: int) -> None:
    said = texts(draw_confusion(a_confusion(numbered(count), images=5), "svg"))
    names = [text for text in said if text.startswith("class ")]
    assert len(names) == 2 * named
    assert set(names) <= set(numbered(count))


def test_classes_without_images_are_drawn() -> None:
    said = texts(draw_confusion(ConfusionMatrix(("a", "b"), ((0, 0), (0, 0))), "svg"))
    assert "0 of 0 images correct" in said


def test_the_darkest_cells_are_those_of_the_largest_shares() -> None:
    """Read back from the pixels: a class that is always found is darker than one found half of the time."""
    counts = tuple(tuple(int(i == j) * (9 if i < 2 else 5) + int(i >= 2 and j == 0) * 4 for j in range(30)) for i in range(30))
    pixels = np.asarray(
        Image.open(io.BytesIO(draw_confusion(ConfusionMatrix(("",) * 30, counts), "png"))).convert("RGB"), dtype=int
    )
    blue = (pixels[:, :, 2] - pixels[:, :, 0]) > 60
    rows, columns = np.nonzero(blue)
    left = columns < columns.min() + 400  # of the matrix, not of the scale beside it
    order = np.argsort(rows[left])
    first, last = order[:100], order[-100:]
    brightness = pixels.sum(axis=2)[rows[left], columns[left]]
    assert brightness[first].mean() < brightness[last].mean() - 30


def test_shares_are_of_each_true_class() -> None:
    shares = row_shares(np.array([[3.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [0.0, 0.0]])


@pytest.mark.parametrize(("count", "most"), [(7, 3), (8, 4), (5, 5), (9, 2)])
def test_grouped_shares_are_the_means_of_rows_of_sums_of_columns(count: int, most: int) -> None:
    shares = row_shares(np.random.default_rng(0).integers(0, 9, (count, count)).astype(float))
    grouped, per = group_shares(shares, most)
    parts = [range(start, min(start + per, count)) for start in range(0, count, per)]
    assert len(parts) <= most
    wanted = [[np.mean([sum(shares[i, j] for j in columns) for i in rows]) for columns in parts] for rows in parts]
    np.testing.assert_allclose(grouped, wanted)


def test_importing_the_pages_imports_neither_matplotlib_nor_torch() -> None:
    program = (
        "import sys, resnet_spec.report.page, resnet_spec.report.tables;"
        "print([name for name in ('matplotlib', 'torch', 'PIL') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
