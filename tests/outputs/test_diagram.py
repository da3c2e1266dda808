"""Diagrams: what is in them, that they stay the same, that hostile names stay text, and that no Graphviz need be installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Literal, get_args
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import resnet_spec
from resnet_spec import api, compiler
from resnet_spec.analysis.cost import count
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.cli import group
from resnet_spec.diagnostics import Source, Span
from resnet_spec.graph.model import Graph, Node
from resnet_spec.language.library import shipped_names
from resnet_spec.ops import OPERATIONS, Operation
from resnet_spec.ops.definition import Family
from resnet_spec.outputs.diagram import Style, draw_graph
from resnet_spec.outputs.diagram.style import BOX_LOOKS
from resnet_spec.outputs.render_dot import FORMATS, NoRendererError, PictureFormat
from tests.networks import REFERENCED

GOLDEN = Path(__file__).parent / "golden"
ZOO = Path(__file__).parent.parent / "networks" / "zoo"
SVG = "{http://www.w3.org/2000/svg}"


def dot_of(spec: str, style: Style = Style()) -> str:  # noqa: B008
    return api.draw_picture(compiler.sketch(compiler.find(spec)), style).dot


def boxes_of(spec: str, style: Style = Style()) -> int:  # noqa: B008
    return api.draw_picture(compiler.sketch(compiler.find(spec)), style).boxes


@pytest.mark.parametrize("detail", ["stage", "block", "op"])
@pytest.mark.parametrize("name", ["resnet18", "pokemon_resnet18", "cifar_resnet20"])
def test_a_diagram_stays_as_it_was(name: str, detail: Literal["stage", "block", "op"]) -> None:
    path = GOLDEN / f"{name}-{detail}.dot"
    dot = dot_of(name, Style(detail=detail))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(dot, encoding="utf-8")
    assert dot == path.read_text(encoding="utf-8")


# those of other people have more kinds of blocks
@pytest.mark.parametrize("name", [name for name in shipped_names() if not name.startswith(REFERENCED)])
def test_every_shipped_network_fits_one_page(name: str) -> None:
    assert boxes_of(name) <= 40


def test_equal_blocks_are_drawn_once_and_expand_unfolds_them() -> None:
    assert boxes_of("cifar_resnet110", Style(detail="op")) < 60
    assert boxes_of("cifar_resnet110", Style(detail="op", expand=True)) == 388 + 1  # its operations, and the input


@pytest.mark.parametrize("detail", ["stage", "block", "op"])
def test_all_values_have_boxes_in_a_network_of_nested_blocks(detail: Literal["stage", "block", "op"]) -> None:
    for path in sorted(ZOO.glob("*.yaml")):
        assert boxes_of(str(path), Style(detail=detail)) > 5


HOSTILE = """
spec: 1
name: "<IMG SRC='javascript:alert(1)'> & \\"quoted\\" \\\\N \\\\G \\e[31m \\u202e 神经网络"
input: 3x8x8
stem:
  类别: {op: conv2d, out_channels: 4, kernel_size: 1}
"""


def test_a_hostile_name_is_text_and_nothing_else() -> None:
    svg = resnet_spec.draw(HOSTILE)
    root = ElementTree.fromstring(svg)
    tags = {element.tag for element in root.iter()}
    links = {value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")}
    assert tags <= {SVG + tag for tag in ("svg", "g", "title", "polygon", "text", "path", "ellipse", "a", "polyline")}
    assert links <= {"", "#"} or all("javascript" not in link for link in links)
    words = " ".join(element.text or "" for element in root.iter(SVG + "text"))
    assert "<IMG SRC='javascript:alert(1)'>" in words
    assert '"quoted" \\N \\G' in words
    assert "神经网络" in words
    assert "类别" in words
    assert "\x1b" not in svg
    assert "\u202e" not in svg


def test_tooltips_describe_each_operation() -> None:
    svg = resnet_spec.draw("resnet18", detail="op")
    assert "layer1.0.conv1: conv2d, 64x56x56 to 64x56x56, 36,864 parameters" in svg


def test_kinds_of_shortcuts_are_distinguished() -> None:
    dot = dot_of("resnet18", Style(detail="block"))
    assert dot.count('tooltip="shortcut (transformed)"') == 3
    assert dot.count('tooltip="shortcut (identity)"') == 4  # of five identity blocks, the two of layer1 are one box


def arrows(dot: str) -> list[tuple[str, str, str]]:
    """All arrows: from what, to what, and how they look. Boxes go by their first line, forks by their name."""
    titles = dict(re.findall(r'\b(n\d+) \[label="?(.*?)(?:\\n|"| fill)', dot))
    return [(titles.get(a, a), titles.get(b, b), looks) for a, b, looks in re.findall(r"\t(\w+) -> (\w+)(.*)", dot)]


@pytest.mark.parametrize(("detail", "first"), [("block", "basic"), ("op", "conv1: conv 3x3, 64")])
def test_equal_residual_blocks_show_their_shortcut_inside_what_is_repeated(detail: Literal["block", "op"], first: str) -> None:
    dot = dot_of("resnet18", Style(detail=detail))
    found = arrows(dot)
    assert 'label="0-1, × 2"' in dot  # noqa: RUF001
    assert [head for tail, head, _ in found if tail == "maxpool: max pool 3x3, /2"] == ["fork4"]
    forked = [(head, "shortcut" in looks) for tail, head, looks in found if tail == "fork4"]
    assert forked in ([(first, False), ("+", True)], [("+", True), (first, False)])
    frame = dot[dot.index('"0-1, ×') : dot.index("}", dot.index('"0-1, ×'))]  # noqa: RUF001
    assert "fork4 [" in frame
    assert 'label="+"' in frame


def test_what_the_branch_of_a_pre_activation_block_uses_too_is_no_shortcut() -> None:
    found = arrows(dot_of(str(ZOO / "resnetv2_50.yaml")))
    shortcuts = [(tail, head) for tail, head, looks in found if "shortcut" in looks]
    assert shortcuts == [
        ("act1: relu", "downsample.conv: conv 1x1, 256, /1 or /2"),
        ("downsample.conv: conv 1x1, 256, /1 or /2", "+"),
        ("256x56x56", "+"),
    ]


def test_an_inset_shows_every_stride_of_its_blocks_and_a_stage_its_own() -> None:
    dot = dot_of("resnet50")
    assert "conv2: conv 3x3, 64, /1 or /2" in dot
    assert "layer1: 3 × bottleneck\\n" in dot  # noqa: RUF001
    assert "layer2: 4 × bottleneck, /2\\n" in dot  # noqa: RUF001
    mobile = dot_of(str(ZOO / "mobilenet_v2.yaml"))
    assert "conv.depth.0: conv 3x3, 96, 96 groups, /1 or /2" in mobile
    assert "s4: 4 × inverted, /2\\n" in mobile  # noqa: RUF001
    assert "s5: 3 × inverted\\n" in mobile  # noqa: RUF001


def height_between(svg: str, upper: str, lower: str) -> float:
    """How far apart two lines of text are, in points."""
    rows = {text.text: float(text.attrib["y"]) for text in ElementTree.fromstring(svg).iter(SVG + "text")}
    return rows[lower] - rows[upper]


def test_the_rows_of_an_inset_are_those_of_the_block_alone() -> None:
    boxes = ("conv2: conv 3x3, 64", "bn2: batch_norm")
    alone = height_between(resnet_spec.draw("block:plain", input="64x56x56", set=["width=64"]), *boxes)
    assert height_between(resnet_spec.draw("plain18"), *boxes) == pytest.approx(alone, abs=1)


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_drawing_needs_no_installed_graphviz(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{form}"
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "resnet_spec", "draw", "resnet18", "-o", str(path)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[form]
    assert path.read_bytes().startswith(start)


def test_without_any_renderer_there_is_a_message_and_the_dot_file(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pygraphviz'] = None; from resnet_spec.cli import main; main()"
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "-c", code, "draw", "resnet18", "-o", str(tmp_path / "picture.svg")]
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "pip install pygraphviz" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["picture.dot"]
    assert (tmp_path / "picture.dot").read_text(encoding="utf-8") == dot_of("resnet18")


def test_a_path_that_cannot_be_written_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "resnet_spec", "draw", "resnet18", "-o", str(tmp_path / "file" / "picture.svg")]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "error:" in ran.stderr


def test_drawing_leaves_torch_alone() -> None:
    code = "import resnet_spec, sys; resnet_spec.draw('resnet18'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


BROKEN = """
spec: 1
extends: resnet50
block: {project: stride != 1}
"""


@pytest.mark.parametrize("detail", ["stage", "block", "op"])
def test_a_broken_network_is_drawn_with_the_conflict_in_red(detail: Literal["stage", "block", "op"]) -> None:
    found = compiler.sketch(compiler.find(BROKEN))
    assert [finding.code for finding in found.findings] == ["shape-mismatch"]
    dot = api.draw_picture(found, Style(detail=detail)).dot
    assert "#c00000" in dot
    assert 'label="64x56x56"' in dot
    assert 'label="256x56x56"' in dot
    assert "maxpool" in dot
    texts = ElementTree.fromstring(resnet_spec.draw(BROKEN, detail=detail)).iter(SVG + "text")
    assert {text.text for text in texts if text.attrib["font-size"] == "10.00"} == {"64x56x56", "256x56x56"}  # of arrows


def test_too_many_boxes_for_a_png_are_refused_with_what_works(tmp_path: Path) -> None:
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.draw("cifar_resnet1202", tmp_path / "x.png", detail="op", expand=True)
    assert caught.value.diagnostics[0].code == "too-many-boxes"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats that Graphviz was asked for, in order; nothing is rendered."""
    asked: list[str] = []

    class Graph:
        def __init__(self, string: str) -> None:
            assert string.startswith("// made by resnet-spec draw")

        def draw(self, format: str, prog: str) -> bytes:
            asked.append(format)
            return f"<?xml {format}".encode()

    module = ModuleType("pygraphviz")
    module.AGraph = Graph  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pygraphviz", module)
    return asked


@pytest.mark.parametrize("path", [None, "x.svg", "x.png", "x.pdf"])
def test_the_limit_on_boxes_holds_for_every_picture(path: str | None, tmp_path: Path, rendered: list[str]) -> None:
    """Also where none is written: the rendering of 10,000 boxes would not end."""
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.draw("cifar_resnet1202", path and tmp_path / path, detail="op", expand=True, set={"params.n": 800})
    assert [finding.code for finding in caught.value.diagnostics] == ["too-many-boxes"]
    assert "or as .dot" in caught.value.diagnostics[0].help
    assert rendered == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "formats"), [(None, ["svg"]), ("x.svg", ["svg"]), ("x.SVG", ["svg"]), ("x.png", ["png", "svg"]), ("x.dot", [])]
)
def test_nothing_is_rendered_twice(path: str | None, formats: list[str], tmp_path: Path, rendered: list[str]) -> None:
    drawing = resnet_spec.draw("resnet18", path and tmp_path / path)
    assert rendered == formats
    if path is not None and "png" not in path:
        assert (tmp_path / path).read_text(encoding="utf-8") == drawing


def test_a_dot_file_needs_no_renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    drawing = resnet_spec.draw("resnet18", tmp_path / "x.dot")
    assert drawing == (tmp_path / "x.dot").read_text(encoding="utf-8") == dot_of("resnet18")
    with pytest.raises(NotImplementedError):  # a notebook then shows the text
        drawing._repr_svg_()
    with pytest.raises(NoRendererError):
        resnet_spec.draw("resnet18")


def test_a_notebook_shows_the_picture_of_a_dot_file(tmp_path: Path) -> None:
    drawing = resnet_spec.draw("resnet18", tmp_path / "x.dot")
    assert drawing._repr_svg_() == resnet_spec.draw("resnet18")


def test_a_dot_file_has_no_limit_on_boxes_and_a_notebook_does_not_render_it(tmp_path: Path, rendered: list[str]) -> None:
    drawing = resnet_spec.draw("cifar_resnet1202", tmp_path / "x.dot", detail="op", expand=True, set={"params.n": 800})
    assert drawing.count(" [label=") > 5000
    with pytest.raises(NotImplementedError):
        drawing._repr_svg_()
    assert rendered == []


def test_a_format_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "txt", PictureFormat("txt", lambda drawn, _: f"{len(drawn.dot)} characters".encode(), 30))
    resnet_spec.draw("resnet18", tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text() == f"{len(dot_of('resnet18'))} characters"
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.draw("resnet18", tmp_path / "x.txt", detail="op", expand=True)
    assert "more than a txt can show" in str(caught.value)
    done = CliRunner().invoke(group, ["draw", "resnet18", "-o", str(tmp_path / "y.txt")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "y.txt").read_bytes() == (tmp_path / "x.txt").read_bytes()


def test_every_family_of_operations_has_a_look_of_its_own_or_shares_the_plainest() -> None:
    assert set(get_args(Family)) < set(BOX_LOOKS)
    assert {op.family for op in OPERATIONS.values()} == set(get_args(Family))
    shared = [family for family in get_args(Family) if BOX_LOOKS[family] == BOX_LOOKS["identity"]]
    assert shared == ["reshaping", "regularization", "scaling", "identity"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference(Operation):
    """An operation that the package does not know."""

    name: ClassVar[str] = "difference"
    family: ClassVar[Family] = "join"
    depends: ClassVar[Literal["pointwise"]] = "pointwise"
    symbol: ClassVar[str] = "−"  # noqa: RUF001


def test_a_new_operation_is_drawn_by_what_it_declares() -> None:
    span = Span(Source("x", ""), 1, 1, 1, 1)
    nodes = (Node("act", OPERATIONS["relu"](), (-1,), (3, 8, 8), span), Node("sub", Difference(), (-1, 0), (3, 8, 8), span))
    graph = Graph("x", (3, 8, 8), nodes, (), 1, "pytorch")
    shapes = tuple(node.shape for node in nodes)
    sized = SizedGraph(graph, graph.input, shapes, count(graph, shapes))
    dot = draw_graph(sized, Style(detail="op")).dot
    (box,) = [line for line in dot.splitlines() if "sub: difference" in line]
    assert "shape=circle" in box
    assert "−" in box  # noqa: RUF001
    assert [(tail, head) for tail, head, _ in arrows(dot)] == [("input", "act: relu"), ("input", "−"), ("act: relu", "−")]  # noqa: RUF001


def test_diagrams_are_made_without_importing_graphviz_first() -> None:
    code = "import resnet_spec.cli.draw_command, sys; sys.exit('graphviz' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_single_block_can_be_drawn() -> None:
    svg = resnet_spec.draw("block:bottleneck", input="64x56x56", set=["width=64"])
    assert "256x56x56" in svg


@pytest.mark.parametrize("detail", ["stage", "block", "op"])
def test_a_single_block_has_no_frames(detail: Literal["stage", "block", "op"]) -> None:
    target = compiler.find("block:bottleneck", "64x56x56")
    picture = api.draw_picture(compiler.sketch(target, ["width=64"]), Style(detail=detail))
    assert "subgraph" not in picture.dot
    assert picture.boxes == 12 + 1  # its operations, and the input
    assert 'label="downsample.0: conv 1x1, 256\\n' in picture.dot


def test_memory_is_in_the_units_of_the_tables_and_the_title_explains_it() -> None:
    dot = dot_of("resnet18", Style(show=frozenset({"memory"})))
    assert "bytes: the outputs of all operations in a box, for one image in float32" in dot
    assert '"conv1: conv 7x7, 64, /2\\n3.1 MiB"' in dot  # 64 * 112 * 112 numbers of 4 bytes
    assert "float32" not in dot_of("resnet18")


def test_blocks_that_differ_only_in_how_often_they_drop_are_drawn_once() -> None:
    style = Style(detail="block")
    assert boxes_of(str(ZOO / "resnet50_drop_path.yaml"), style) == boxes_of("resnet50", style)


BROKEN_LATER = "spec: 1\nextends: resnet50\nstages: {layer3: {block: {project: false}}}\n"


@pytest.mark.parametrize(
    ("spec", "direction", "insets"),
    [
        ("resnet50", "down", ["4 blocks, such as layer1.0", "12 blocks, such as layer1.1"]),
        ("resnet50", "right", ["4 blocks, such as layer1.0", "12 blocks, such as layer1.1"]),
        (BROKEN, "right", ["layer1.0"]),
        (BROKEN_LATER, "right", ["2 blocks, such as layer1.0", "5 blocks, such as layer1.1", "layer3.0"]),
    ],
)
def test_the_network_comes_first_and_its_insets_are_in_order(
    spec: str, direction: Literal["down", "right"], insets: list[str]
) -> None:
    axis = "x" if direction == "down" else "y"
    texts = ElementTree.fromstring(resnet_spec.draw(spec, direction=direction)).iter(SVG + "text")
    places = {text.text: float(text.attrib[axis]) for text in texts}
    ordered = [places["input"], *(places[f"bottleneck: {inset}"] for inset in insets)]
    assert ordered == sorted(ordered)


def boxes(dot: str) -> dict[str, tuple[list[str], str]]:
    """The boxes by their first lines: all of their lines, and their color; the first of several with the same first line."""
    found = re.findall(r'^\t+n\d+ \[label="?(.*?)"? fillcolor="(#\w+)"', dot, re.MULTILINE)
    return {lines.split("\\n")[0]: (lines.split("\\n"), color) for lines, color in reversed(found)}


HEAT = ["#fff7ec", "#fee8c8", "#fdd49e", "#fdbb84", "#fc8d59", "#ef6548", "#d7301f", "#990000"]


@pytest.mark.parametrize(("heat", "unit"), [("params", "parameters"), ("macs", "multiply-adds"), ("memory", "B")])
@pytest.mark.parametrize("detail", ["stage", "block"])
def test_heat_compares_the_boxes_that_are_drawn(
    heat: Literal["params", "macs", "memory"], unit: str, detail: Literal["stage", "block"]
) -> None:
    sized = resnet_spec.analyze("resnet18").sized

    def cost(name: str) -> int:
        at = [at for at, node in enumerate(sized.graph.nodes) if node.name == name or node.name.startswith(f"{name}.")]
        match heat:
            case "params":
                return sum(sized.costs[position].params for position in at)
            case "macs":
                return sum(sized.costs[position].macs for position in at)
            case "memory":
                return sum(prod(sized.shapes[position]) for position in at)

    drawn = boxes(dot_of("resnet18", Style(detail=detail, heat=heat, show=frozenset({"shapes"}))))
    if detail == "stage":
        whole = {f"layer{stage}": f"layer{stage}: 2 × basic{', /2' if stage > 1 else ''}" for stage in (1, 2, 3, 4)}  # noqa: RUF001
        highest = max(map(cost, whole))
    else:
        whole = {"layer1.0": "basic", "layer2.0": "0: basic, /2", "layer2.1": "1: basic"}
        highest = max(cost(f"layer{stage}.{block}") for stage in (1, 2, 3, 4) for block in (0, 1))
    for name, title in {**whole, "conv1": "conv1: conv 7x7, 64, /2", "fc": "fc: linear"}.items():
        lines, color = drawn[title]
        assert color == HEAT[min(7, int(8 * (cost(name) / highest) ** 0.5))], name
        assert lines[-1].endswith(unit)
        assert len(lines) == 3  # the shape, which is shown, and what the color shows


def test_a_box_of_several_blocks_is_as_hot_as_all_of_them() -> None:
    dot = dot_of("plain34", Style(detail="block", heat="params"))
    drawn = boxes(dot)
    (hottest,) = [title for title, (_, color) in drawn.items() if color == HEAT[-1]]
    counted = {title: lines[-1] for title, (lines, _) in drawn.items()}
    assert hottest.startswith("1-2: 2 ")
    assert counted[hottest] == "9.44M parameters"  # two of 2 * 512 * 512 * 9 weights


def test_every_box_prints_what_its_color_shows_unless_it_prints_nothing() -> None:
    drawn = boxes(dot_of("resnet18", Style(detail="op", heat="memory", show=frozenset({"shapes"}))))
    assert drawn["bn1: batch_norm"][0] == ["bn1: batch_norm", "3.1 MiB"]
    assert drawn["relu"][0][-1].endswith("B")
    assert drawn["fc: linear"][0] == ["fc: linear", "1000", "3.9 KiB"]
    assert boxes(dot_of("resnet18", Style(heat="params")))["bn1: batch_norm"][0] == ["bn1: batch_norm", "128 parameters"]
    silent = boxes(dot_of("resnet18", Style(heat="params", show=frozenset())))
    assert all(len(lines) == 1 for title, (lines, _) in silent.items() if title != "input")


def test_the_title_says_what_the_colors_show() -> None:
    assert "\\nthe darker, the more multiply-adds in a box\\n" in dot_of("resnet18", Style(heat="macs"))
    assert "the darker, the more bytes in a box" in dot_of("resnet18", Style(heat="memory"))


def test_a_block_of_a_network_is_drawn_as_the_block_of_the_library() -> None:
    """But for its title, and the names in the tooltips."""

    def picture(svg: str) -> list[str | None]:
        texts = [text.text for text in ElementTree.fromstring(svg).iter(SVG + "text") if text.attrib["font-size"] == "11.00"]
        return [*texts, ElementTree.fromstring(svg).attrib["height"]]

    alone = resnet_spec.draw("resnet50", block="layer2.0", title=False)
    library = resnet_spec.draw("block:bottleneck", input="256x56x56", set=["width=128", "stride=2"], title=False)
    assert picture(alone) == picture(library)
    assert "layer2.0.conv1: conv2d" in alone
    with pytest.raises(resnet_spec.ArgumentError) as caught:
        resnet_spec.draw("resnet50", block="basic")
    assert caught.value.diagnostics[0].code == "unknown-block"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("heat", ["params", "macs", "memory"])
def test_heat_and_themes_draw(theme: Literal["light", "dark"], heat: Literal["params", "macs", "memory"]) -> None:
    assert resnet_spec.draw("resnet18", theme=theme, heat=heat, show=("macs", "memory"))._repr_svg_().startswith("<?xml")
