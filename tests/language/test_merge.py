"""A chain of patches to one document: RFC 7396 with the rules of the language, `extends`, `--set`, and blocks."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.diagnostics import ArgumentError, Diagnostic, Source, SpecError
from resnet_spec.language import library
from resnet_spec.language.files import read_file, spec_root
from resnet_spec.language.library import library_block, shipped_root
from resnet_spec.language.merge import Resolved, resolve
from resnet_spec.language.patches import parse_set
from resnet_spec.language.reader import from_data, to_data

Files = dict[str, str]


def write(folder: Path, files: Files) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("spec: 1\n" + text)


def merge(folder: Path, files: Files, sets: Iterable[str] = (), root: Path | None = None) -> Resolved:
    """The last of the files, with all it extends."""
    write(folder, files)
    path = folder / list(files)[-1]
    return resolve(read_file(path), path.parent, root or folder, [parse_set(text) for text in sets])


def merged(folder: Path, files: Files, sets: Iterable[str] = ()) -> dict[str, object]:
    """The merged root as data, without the language's defaults."""
    data = to_data(merge(folder, files, sets).root)
    assert isinstance(data, dict)
    return {key: value for key, value in data.items() if key not in ("spec", "norm", "act")}


def refusals(folder: Path, files: Files, sets: Iterable[str] = ()) -> list[Diagnostic]:
    with pytest.raises((SpecError, ArgumentError)) as caught:
        merge(folder, files, sets)
    return list(caught.value.diagnostics)


def blocks(folder: Path, files: Files, sets: Iterable[str] = ()) -> dict[str, object]:
    return {name: to_data(block.body) for name, block in merge(folder, files, sets).blocks.items()}


def library_data(name: str) -> dict[str, object]:
    body = library_block(name)
    assert body is not None
    data = to_data(body)
    assert isinstance(data, dict)
    return data


# --- merging --------------------------------------------------------------------------------------------------------------


def rfc7396(target: object, patch: object) -> object:
    """MergePatch of RFC 7396, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = rfc7396(result.get(name), value)
    return result


_KEYS = st.sampled_from(["a", "b", "c"])
_LEAVES = st.integers(0, 3) | st.booleans() | st.sampled_from(["x", "y"]) | st.lists(st.integers(0, 2), max_size=2)
_DOCUMENTS = st.recursive(_LEAVES, lambda inner: st.dictionaries(_KEYS, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(_KEYS, _DOCUMENTS, max_size=3), st.dictionaries(_KEYS, _DOCUMENTS, max_size=3))
def test_data_merges_as_rfc_7396_says(tmp_path_factory: pytest.TempPathFactory, target: object, patch: object) -> None:
    """Under `params`, which holds data: no operations, whose rules are the language's own."""
    folder = tmp_path_factory.mktemp("merge")
    files = {
        "base.yaml": f"params: {from_data(target).text}\n",
        "x.yaml": f"extends: base.yaml\nparams: {from_data(patch).text}\n",
    }
    assert merged(folder, files)["params"] == rfc7396(target, patch)


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ("a: b", "a: c", {"a": "c"}),
        ("a: b", "b: c", {"a": "b", "b": "c"}),
        ("a: b", "a: null", {}),
        ("a: b\nb: c", "a: null", {"b": "c"}),
        ("a: [b]", "a: c", {"a": "c"}),
        ("a: c", "a: [b]", {"a": ["b"]}),
        ("a: {b: c}", "a: {b: d, c: e}", {"a": {"b": "d", "c": "e"}}),
        ("a: {b: c}", "a: [1]", {"a": [1]}),
        ("a: [b]", "a: {b: c}", {"a": {"b": "c"}}),
    ],
)
def test_the_examples_of_rfc_7396(tmp_path: Path, base: str, patch: str, result: object) -> None:
    """Appendix A, but for those that delete nothing: an error here."""
    indent = "  "
    files = {
        "base.yaml": "params:\n" + "".join(f"{indent}{line}\n" for line in base.splitlines()),
        "x.yaml": "extends: base.yaml\nparams:\n" + "".join(f"{indent}{line}\n" for line in patch.splitlines()),
    }
    assert merged(tmp_path, files)["params"] == result


STEM = "stem:\n  conv1: {op: conv2d, out_channels: 8, kernel_size: 3}\n  bn1: norm\n  relu: act\n"


@pytest.mark.parametrize(
    ("patch", "names", "entry", "result"),
    [
        (
            "conv1: {bias: false}",
            "conv1 bn1 relu",
            "conv1",
            {"op": "conv2d", "out_channels": 8, "kernel_size": 3, "bias": False},
        ),
        ("conv1: {op: max_pool2d, kernel_size: 2}", "conv1 bn1 relu", "conv1", {"op": "max_pool2d", "kernel_size": 2}),
        ("conv1: relu", "conv1 bn1 relu", "conv1", "relu"),
        ("bn1: {eps: 1e-3}", "conv1 bn1 relu", "bn1", {"op": "norm", "eps": 1e-3}),
        ("bn1: {op: group_norm, num_groups: 2}", "conv1 bn1 relu", "bn1", {"op": "group_norm", "num_groups": 2}),
        ("conv1: {kernel_size: null}", "conv1 bn1 relu", "conv1", {"op": "conv2d", "out_channels": 8}),
        ("bn1: null", "conv1 relu", "relu", "act"),
        ("pool: {op: max_pool2d, kernel_size: 2}", "conv1 bn1 relu pool", "pool", {"op": "max_pool2d", "kernel_size": 2}),
    ],
)
def test_operations_are_patched_replaced_deleted_and_added(
    tmp_path: Path, patch: str, names: str, entry: str, result: object
) -> None:
    stem = merged(tmp_path, {"base.yaml": STEM, "x.yaml": f"extends: base.yaml\nstem: {{{patch}}}\n"})["stem"]
    assert isinstance(stem, dict)
    assert list(stem) == names.split()
    assert stem[entry] == result


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ("norm: batch_norm", "norm: {eps: 1e-3}", {"op": "batch_norm", "eps": 1e-3}),
        ("norm: {op: batch_norm, eps: 1e-3}", "norm: {momentum: 0.01}", {"op": "batch_norm", "eps": 1e-3, "momentum": 0.01}),
        ("norm: {op: batch_norm, eps: 1e-3}", "norm: {op: group_norm, num_groups: 2}", {"op": "group_norm", "num_groups": 2}),
        ("norm: {op: batch_norm, eps: 1e-3}", "norm: batch_norm", "batch_norm"),
        ("act: relu", "norm: {eps: 1e-3}", {"op": "batch_norm", "eps": 1e-3}),
    ],
)
def test_a_role_is_patched_like_an_operation(tmp_path: Path, base: str, patch: str, result: object) -> None:
    """The last: `norm: batch_norm` is the language's default, and can be patched like one that was written."""
    data = to_data(merge(tmp_path, {"base.yaml": base + "\n", "x.yaml": f"extends: base.yaml\n{patch}\n"}).root)
    assert isinstance(data, dict)
    assert data["norm"] == result


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ("layer1: {depth: 4}", {"layer1": {"width": 8, "depth": 4}, "pool": "relu"}),
        ("layer1: {op: relu6}", {"layer1": {"op": "relu6"}, "pool": "relu"}),
        ("pool: {inplace: true}", {"layer1": {"width": 8}, "pool": {"op": "relu", "inplace": True}}),
        ("layer1: {block: {groups: 2}}", {"layer1": {"width": 8, "block": {"groups": 2}}, "pool": "relu"}),
        ("layer0: {width: 4, insert_before: layer1}", {"layer0": {"width": 4}, "layer1": {"width": 8}, "pool": "relu"}),
        ("layer1: null", {"pool": "relu"}),
    ],
)
def test_stages(tmp_path: Path, patch: str, result: dict[str, object]) -> None:
    files = {"base.yaml": "stages: {layer1: {width: 8}, pool: relu}\n", "x.yaml": f"extends: base.yaml\nstages: {{{patch}}}\n"}
    stages = merged(tmp_path, files)["stages"]
    assert stages == result
    assert isinstance(stages, dict)
    assert list(stages) == list(result)


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ("block: basic", "block: {groups: 2}", {"op": "basic", "groups": 2}),
        ("block: {op: bottleneck, groups: 2}", "block: basic", "basic"),
        ("block: {op: bottleneck, groups: 2}", "block: {base_width: 4}", {"op": "bottleneck", "groups": 2, "base_width": 4}),
        ("block: {op: bottleneck, groups: 2}", "block: {op: bottleneck}", {"op": "bottleneck"}),
    ],
)
def test_the_block_of_all_stages(tmp_path: Path, base: str, patch: str, result: object) -> None:
    assert merged(tmp_path, {"base.yaml": base + "\n", "x.yaml": f"extends: base.yaml\n{patch}\n"})["block"] == result


@pytest.mark.parametrize(
    ("patch", "code", "where"),
    [
        ("stem: {conv9: {bias: false}}", "nothing-to-patch", "x.yaml:3:8"),
        ("stem: {conv9: null}", "nothing-to-delete", "x.yaml:3:8"),
        ("stem: {conv1: {strides: null}}", "nothing-to-delete", "x.yaml:3:16"),
        ("head: null", "nothing-to-delete", "x.yaml:3:1"),
        ("head:", "nothing-to-delete", "x.yaml:3:1"),
        ("block: {groups: 2}", "nothing-to-patch", "x.yaml:3:1"),
        ("blocks: {b: null}", "nothing-to-delete", "x.yaml:3:10"),
        ("blocks: null", "wrong-type", "x.yaml:3:9"),
        ("stem: {conv1: {bias: false, insert_after: bn1}}", "position-taken", "x.yaml:3:43"),
        ("stem: {new: {op: relu, insert_after: bn9}}", "unknown-name", "x.yaml:3:38"),
        ("stem: {new: {op: relu, insert_after: bn1, insert_before: relu}}", "wrong-type", "x.yaml:3:58"),
    ],
)
def test_what_patches_or_deletes_nothing_is_refused(tmp_path: Path, patch: str, code: str, where: str) -> None:
    (finding,) = refusals(tmp_path, {"base.yaml": STEM, "x.yaml": f"extends: base.yaml\n{patch}\n"})
    assert finding.span is not None
    assert (finding.code, f"{Path(finding.span.source.name).name}:{finding.span.line}:{finding.span.column}") == (code, where)


def test_all_findings_of_a_merge_are_told_at_once(tmp_path: Path) -> None:
    patch = "extends: base.yaml\nstem: {conv9: null, bn9: {eps: 1}, conv1: {bia: null}}\n"
    codes = [finding.code for finding in refusals(tmp_path, {"base.yaml": STEM, "x.yaml": patch})]
    assert codes == ["nothing-to-delete", "nothing-to-patch", "nothing-to-delete"]


def test_a_name_that_is_nearly_right_is_suggested(tmp_path: Path) -> None:
    (finding,) = refusals(tmp_path, {"base.yaml": STEM, "x.yaml": "extends: base.yaml\nstem: {conv: {bias: false}}\n"})
    assert finding.help == "did you mean `conv1`?"


# --- order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "order"),
    [
        ("x: {op: relu}", "conv1 bn1 relu x"),
        ("x: {op: relu, insert_before: conv1}", "x conv1 bn1 relu"),
        ("x: {op: relu, insert_after: conv1}", "conv1 x bn1 relu"),
        ("x: {op: relu, insert_after: conv1}, y: {op: relu, insert_after: conv1}", "conv1 x y bn1 relu"),
        ("x: {op: relu, insert_before: bn1}, y: {op: relu, insert_before: bn1}", "conv1 x y bn1 relu"),
        ("x: {op: relu, insert_after: conv1}, y: {op: relu, insert_before: bn1}", "conv1 x y bn1 relu"),
        ("x: {op: relu, insert_after: conv1}, y: {op: relu, insert_after: x}", "conv1 x y bn1 relu"),
        ("x: {op: relu, insert_after: y}, y: {op: relu}", "conv1 bn1 relu y x"),
        ("x: {op: relu, insert_after: relu}, y: relu6", "conv1 bn1 relu x y"),
        ("bn1: null, x: {op: relu, insert_after: conv1}", "conv1 x relu"),
        ("0: {op: relu, insert_before: conv1}, 1: {op: relu, insert_after: 0}", "0 1 conv1 bn1 relu"),
    ],
)
def test_where_new_entries_go(tmp_path: Path, new: str, order: str) -> None:
    stem = merged(tmp_path, {"base.yaml": STEM, "x.yaml": f"extends: base.yaml\nstem: {{{new}}}\n"})["stem"]
    assert isinstance(stem, dict)
    assert list(stem) == order.split()
    assert not any("insert_after" in entry or "insert_before" in entry for entry in stem.values())


def test_the_position_of_a_new_entry_works_in_sequences_too(tmp_path: Path) -> None:
    base = "stem: {s: {op: sequential, ops: {0: relu, 1: relu}}}\n"
    patch = "extends: base.yaml\nstem: {s: {ops: {x: {op: relu6, insert_before: 1}}}}\n"
    assert merged(tmp_path, {"base.yaml": base, "x.yaml": patch}) == {
        "stem": {"s": {"op": "sequential", "ops": {"0": "relu", "x": {"op": "relu6"}, "1": "relu"}}}
    }


# --- extends --------------------------------------------------------------------------------------------------------------


def test_extends_names_a_path_relative_to_the_file(tmp_path: Path) -> None:
    files = {"nets/base/a.yaml": "classes: 3\n", "nets/b.yaml": "extends: base/a.yaml\n", "x.yaml": "extends: nets/b.yaml\n"}
    assert merged(tmp_path, files) == {"classes": 3}


def test_a_list_is_laid_on_in_order(tmp_path: Path) -> None:
    files = {"a.yaml": "classes: 1\ninput: 1x1x1\n", "b.yaml": "classes: 2\n", "x.yaml": "extends: [a.yaml, b.yaml]\n"}
    assert merged(tmp_path, files) == {"classes": 2, "input": "1x1x1"}
    files["x.yaml"] = "extends: [b.yaml, a.yaml]\n"
    assert merged(tmp_path, files)["classes"] == 1


def test_each_file_is_laid_on_once(tmp_path: Path) -> None:
    """A diamond: were `base` laid on again with `right`, it would undo what `left` says."""
    files = {
        "base.yaml": "classes: 1\nparams: {n: 1}\n",
        "left.yaml": "extends: base.yaml\nclasses: 2\n",
        "right.yaml": "extends: base.yaml\nparams: {n: 2}\n",
        "x.yaml": "extends: [left.yaml, right.yaml]\n",
    }
    assert merged(tmp_path, files) == {"classes": 2, "params": {"n": 2}}


def test_the_same_file_by_another_way_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    files = {"base.yaml": "params: {n: 1}\n", "a.yaml": "extends: base.yaml\nparams: {n: 2}\n"}
    files["x.yaml"] = "extends: [a.yaml, sub/../base.yaml]\n"
    assert merged(tmp_path, files) == {"params": {"n": 2}}


def test_a_shipped_spec_is_extended_by_name(tmp_path: Path) -> None:
    assert (
        merged(tmp_path, {"x.yaml": "extends: resnet18\n"})["stages"]
        == merged(tmp_path, {"y.yaml": "extends: resnet18.yaml\n"})["stages"]
    )


def test_a_shipped_name_is_found_without_its_folder(tmp_path: Path) -> None:
    whole = merged(tmp_path, {"x.yaml": "extends: mnist/lenet5\n"})["stem"]
    assert merged(tmp_path, {"y.yaml": "extends: lenet5\n"})["stem"] == whole
    assert merged(tmp_path, {"z.yaml": "extends: lenet5.yaml\n"})["stem"] == whole


@pytest.mark.parametrize("written", ["twin", "twin.yaml"])
def test_a_name_of_several_shipped_specs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setattr(library, "_in_folders", lambda kind: {"twin": ("timm/twin", "torchvision/twin")})
    (finding,) = refusals(tmp_path, {"x.yaml": f"extends: {written}\n"})
    assert finding.code == "ambiguous-name"
    assert finding.help == "name one of them: `timm/twin` or `torchvision/twin`"
    assert [fix.edits[0].text for fix in finding.fixes] == ["timm/twin", "torchvision/twin"]
    assert finding.span is not None
    assert finding.span.line == 2


def test_of_several_shipped_specs_a_shipped_one_extends_that_of_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    several = ("cifar/wrn_16_4", "mnist/lenet5")
    monkeypatch.setattr(library, "_in_folders", lambda kind: {"lenet5": several, "wrn_16_4": several})
    folder = shipped_root() / "mnist"
    resolved = resolve(Source("specs/mnist/x.yaml", "spec: 1\nextends: lenet5\n", "shipped"), folder, shipped_root())
    assert to_data(resolved.root)["input"] == "1x28x28"  # type: ignore[index]
    assert {source.name for source in resolved.leads} == set()


def test_a_file_wins_over_a_shipped_name(tmp_path: Path) -> None:
    assert merged(tmp_path, {"resnet18.yaml": "classes: 7\n", "x.yaml": "extends: resnet18.yaml\n"}) == {"classes": 7}


def test_what_speaks_of_one_file_is_not_inherited(tmp_path: Path) -> None:
    base = "name: a\nabout: b\nsource: c\nexpect: {params: 1}\nclasses: 2\ninit: zeros\n"
    assert merged(tmp_path, {"base.yaml": base, "x.yaml": "extends: base.yaml\n"}) == {"classes": 2, "init": "zeros"}
    own = "extends: base.yaml\nname: x\nexpect: {macs: 3}\n"
    assert merged(tmp_path, {"base.yaml": base, "x.yaml": own}) == {
        "classes": 2,
        "init": "zeros",
        "name": "x",
        "expect": {"macs": 3},
    }


@pytest.mark.parametrize(
    ("extends", "code"),
    [
        ("missing.yaml", "missing-file"),
        ("resnet35", "missing-file"),
        ("folder", "missing-file"),
        ("/etc/hostname", "extends-absolute"),
        ("C:\\x.yaml", "extends-absolute"),
        ("\\\\host\\x.yaml", "extends-absolute"),
        ("../outside.yaml", "extends-outside"),
        ("folder/../../outside.yaml", "extends-outside"),
        ("link.yaml", "extends-outside"),
        ("linked/outside.yaml", "extends-outside"),
        ("x.yaml", "extends-cycle"),
        ("'a\\0b'", "missing-file"),
        ('"a\\0b"', "missing-file"),
        ("n" * 300, "missing-file"),
        ("[]", "wrong-type"),
        ("null", "wrong-type"),
        ("3", "wrong-type"),
        ("{a: b}", "wrong-type"),
        ("[x2.yaml, 3]", "wrong-type"),
        ('""', "wrong-type"),
    ],
)
def test_extends_stays_in_its_folder(tmp_path: Path, extends: str, code: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    write(tmp_path, {"outside.yaml": "classes: 1\n"})
    (root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (root / "linked").symlink_to(tmp_path)
    (finding,) = refusals(root, {"x2.yaml": "", "x.yaml": f"extends: {extends}\n"})
    assert finding.code == code
    assert finding.span is not None
    assert finding.span.line == 2


def test_a_link_inside_the_root_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"real.yaml": "classes: 4\n"})
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    assert merged(tmp_path, {"x.yaml": "extends: link.yaml\n"}) == {"classes": 4}


def test_a_wider_root_lets_extends_go_up(tmp_path: Path) -> None:
    files = {"base.yaml": "classes: 5\n", "nets/x.yaml": "extends: ../base.yaml\n"}
    found = to_data(merge(tmp_path, files, root=tmp_path).root)
    assert isinstance(found, dict)
    assert found["classes"] == 5


def test_a_cycle_names_every_file_on_the_way(tmp_path: Path) -> None:
    files = {"a.yaml": "extends: b.yaml\n", "b.yaml": "extends: c.yaml\n", "c.yaml": "extends: a.yaml\n"}
    (finding,) = refusals(tmp_path, files | {"x.yaml": "extends: a.yaml\n"})
    assert finding.code == "extends-cycle"
    assert finding.span is not None
    assert Path(finding.span.source.name).name == "c.yaml"
    assert [Path(label.span.source.name).name for label in finding.related] == ["x.yaml", "a.yaml", "b.yaml"]


@pytest.mark.parametrize(("text", "code"), [("", "empty-spec"), ("[1]\n", "wrong-type"), ("name: a\n", "missing-version")])
def test_every_file_says_its_version(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "base.yaml").write_text(text)
    (finding,) = refusals(tmp_path, {"x.yaml": "extends: base.yaml\n"})
    assert finding.code == code
    assert finding.span is not None
    assert Path(finding.span.source.name).name == "base.yaml"


def test_data_without_a_folder_extends_nothing() -> None:
    with pytest.raises(SpecError) as caught:
        resolve(from_data({"spec": 1, "extends": "resnet18"}), None, None)
    assert [finding.code for finding in caught.value.diagnostics] == ["extends-not-allowed"]


def test_the_root_is_the_working_directory_or_the_folder_of_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    assert spec_root(Path("b/x.yaml")) == (tmp_path / "a").resolve()
    assert spec_root(tmp_path / "x.yaml") == tmp_path.resolve()
    assert spec_root(shipped_root() / "variants" / "x.yaml") == shipped_root().resolve()


@pytest.mark.parametrize("kind", ["folder", "unreadable"])
def test_what_cannot_be_read_is_told_at_the_line_that_names_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "unreadable":
        (tmp_path / "base.yaml").write_text("spec: 1\n")
        really = Path.open

        def refusing(path: Path, *args: Any, **more: Any) -> Any:  # root reads everything, so the mode of a file says nothing
            if path.name == "base.yaml":
                raise PermissionError(13, "Permission denied", str(path))
            return really(path, *args, **more)

        monkeypatch.setattr(Path, "open", refusing)
    else:
        (tmp_path / "base.yaml").mkdir()
    (finding,) = refusals(tmp_path, {"x.yaml": "extends: base.yaml\n"})
    assert finding.span is not None
    assert finding.span.line == 2


# --- --set ----------------------------------------------------------------------------------------------------------------

BASE = STEM + "params: {n: 3}\nblock: basic\nstages: {layer1: {width: 8, depth: n}}\nclasses: 10\n"


@pytest.mark.parametrize(
    ("setting", "path", "result"),
    [
        ("classes=5", ["classes"], 5),
        ("params.n=9", ["params", "n"], 9),
        ("params.n=n", ["params", "n"], "n"),
        ("stages.layer1.depth=4", ["stages", "layer1", "depth"], 4),
        ("stages.layer1.width=[1, 2]", ["stages", "layer1", "width"], [1, 2]),
        ("stages.layer1.stride=2", ["stages", "layer1", "stride"], 2),
        ("stem.conv1.bias=false", ["stem", "conv1", "bias"], False),
        ("stem.bn1.eps=1e-3", ["stem", "bn1"], {"op": "norm", "eps": 1e-3}),
        ("stem.bn1=identity", ["stem", "bn1"], "identity"),
        ("stem.conv1={op: relu}", ["stem", "conv1"], {"op": "relu"}),
        ("block.groups=2", ["block"], {"op": "basic", "groups": 2}),
        ("stages.layer1.block.groups=2", ["stages", "layer1", "block"], {"groups": 2}),
        ("name=a=b", ["name"], "a=b"),
        ('name="#1"', ["name"], "#1"),
        ("stem.bn1=null", ["stem"], {"conv1": {"op": "conv2d", "out_channels": 8, "kernel_size": 3}, "relu": "act"}),
        ("stem.bn1=", ["stem"], {"conv1": {"op": "conv2d", "out_channels": 8, "kernel_size": 3}, "relu": "act"}),
        ("stem.new={op: relu, insert_after: conv1}", ["stem", "new"], {"op": "relu"}),
    ],
)
def test_set_patches_last(tmp_path: Path, setting: str, path: list[str], result: object) -> None:
    found: object = merged(tmp_path, {"x.yaml": BASE}, [setting])
    for key in path:
        assert isinstance(found, dict)
        found = found[key]
    assert found == result


@pytest.mark.parametrize(
    ("setting", "code", "column"),
    [
        ("params.m=9", "nothing-to-patch", 8),
        ("params.m=", "nothing-to-delete", 8),
        ("stages.layer9.depth=4", "nothing-to-patch", 8),
        ("stages.layer9=", "nothing-to-delete", 8),
        ("stem.conv9.bias=false", "nothing-to-patch", 6),
        ("blocks.nonsense.branch.conv1.bias=true", "unknown-block", 8),
        ("blocks.basic.branch.conv9.bias=true", "nothing-to-patch", 21),
        ("extends=resnet18", "extends-not-allowed", 1),
        ("classes", "set-syntax", 1),
        ("=3", "set-syntax", 1),
        ("a..b=3", "set-syntax", 1),
        (".a=3", "set-syntax", 1),
        ("a =3", "set-syntax", 1),
        ("name=#1", "set-syntax", 1),
        ("name=[1", "yaml-syntax", 8),
        ("name=!!int 3", "yaml-tag", 6),
        ("name=1\n---\n2", "several-documents", 1),
    ],
)
def test_set_touches_only_what_is_there(tmp_path: Path, setting: str, code: str, column: int) -> None:
    (finding,) = refusals(tmp_path, {"x.yaml": BASE}, [setting])
    assert finding.span is not None
    assert (finding.code, finding.span.source.name, finding.span.column) == (code, "--set", column)


def test_a_key_that_set_touches_stays_where_the_file_has_it(tmp_path: Path) -> None:
    root = merge(tmp_path, {"x.yaml": BASE}, ["classes=5"]).root
    assert (root.entries["classes"].key.line, root.entries["classes"].value.span.source.name) == (9, "--set")


@pytest.mark.parametrize(("sets", "overridden"), [([], False), (["classes=5"], True)])
def test_whether_set_changed_anything_is_known(tmp_path: Path, sets: list[str], overridden: bool) -> None:
    assert merge(tmp_path, {"x.yaml": BASE}, sets).overridden is overridden


def test_set_patches_the_block_that_would_be_used(tmp_path: Path) -> None:
    library = library_data("basic")
    branch = library["branch"]
    assert isinstance(branch, dict)
    expected = {**library, "branch": {**branch, "conv1": {**branch["conv1"], "bias": True}}}
    assert blocks(tmp_path, {"x.yaml": BASE}, ["blocks.basic.branch.conv1.bias=true"]) == {"basic": expected}
    own = BASE + "blocks: {basic: {branch: {conv1: {op: conv2d, out_channels: 2, kernel_size: 1}}}}\n"
    assert blocks(tmp_path, {"x.yaml": own}, ["blocks.basic.branch.conv1.bias=true"]) == {
        "basic": {"branch": {"conv1": {"op": "conv2d", "out_channels": 2, "kernel_size": 1, "bias": True}}}
    }


# --- blocks ---------------------------------------------------------------------------------------------------------------


def everywhere(folder: Path, files: Files) -> dict[str, bool]:
    """Whether library blocks use a block of this name as well."""
    return {name: block.everywhere for name, block in merge(folder, files).blocks.items()}


def test_own_name_patches_the_library_for_every_use(tmp_path: Path) -> None:
    files = {"x.yaml": "blocks: {projection: {extends: projection, branch: {0: {bias: true}}}}\n"}
    branch = library_data("projection")["branch"]
    assert isinstance(branch, dict)
    patched = blocks(tmp_path, files)["projection"]
    assert isinstance(patched, dict)
    assert patched["branch"] == {**branch, "0": {**branch["0"], "bias": True}}
    assert everywhere(tmp_path, files) == {"projection": True}


def test_without_extends_a_block_is_new_and_the_library_keeps_its_own(tmp_path: Path) -> None:
    files = {"x.yaml": "blocks: {projection: {branch: {0: relu}}}\n"}
    assert blocks(tmp_path, files) == {"projection": {"branch": {"0": "relu"}}}
    assert everywhere(tmp_path, files) == {"projection": False}


def test_another_name_starts_from_the_library_and_leaves_it_alone(tmp_path: Path) -> None:
    files = {"x.yaml": "blocks: {mine: {extends: projection, about: mine}}\n"}
    assert blocks(tmp_path, files) == {"mine": {**library_data("projection"), "about": "mine"}}
    assert everywhere(tmp_path, files) == {"mine": False}


@pytest.mark.parametrize("extends", ["", "extends: b, "])
def test_an_inherited_block_is_patched_with_and_without_extends(tmp_path: Path, extends: str) -> None:
    files = {
        "base.yaml": "blocks: {b: {args: [width], branch: {r: relu, s: sigmoid}}}\n",
        "x.yaml": f"extends: base.yaml\nblocks: {{b: {{{extends}branch: {{r: null, t: tanh}}}}}}\n",
    }
    assert blocks(tmp_path, files) == {"b": {"args": ["width"], "branch": {"s": "sigmoid", "t": "tanh"}}}


def test_a_patch_of_a_patch_of_the_library_holds_everywhere(tmp_path: Path) -> None:
    files = {
        "base.yaml": "blocks: {projection: {extends: projection, branch: {0: {bias: true}}}}\n",
        "x.yaml": "extends: base.yaml\nblocks: {projection: {branch: {1: null}}}\n",
    }
    patched = blocks(tmp_path, files)["projection"]
    assert isinstance(patched, dict)
    assert list(patched["branch"]) == ["0"]
    assert patched["branch"]["0"]["bias"] is True
    assert everywhere(tmp_path, files) == {"projection": True}


def test_a_null_is_not_lost_when_files_meet_before_the_library_does(tmp_path: Path) -> None:
    """Each file's `extends` is resolved against what lies below it, so the null of the mixin has something to delete."""
    files = {
        "base.yaml": "blocks: {projection: {extends: projection, about: base}}\n",
        "mixin.yaml": "blocks: {projection: {extends: projection, branch: {1: null}}}\n",
        "x.yaml": "extends: [base.yaml, mixin.yaml]\n",
    }
    patched = blocks(tmp_path, files)["projection"]
    assert isinstance(patched, dict)
    assert (list(patched["branch"]), patched["about"]) == (["0"], "base")


def test_extends_sees_the_block_below_not_the_one_beside(tmp_path: Path) -> None:
    """`a` starts from the inherited `b`, though this file changes `b` as well."""
    files = {
        "base.yaml": "blocks: {b: {branch: {r: relu}}}\n",
        "x.yaml": "extends: base.yaml\nblocks: {b: {branch: {r: tanh}}, a: {extends: b}}\n",
    }
    assert blocks(tmp_path, files) == {"b": {"branch": {"r": "tanh"}}, "a": {"branch": {"r": "relu"}}}


def test_a_deleted_block_is_the_library_again(tmp_path: Path) -> None:
    files = {
        "base.yaml": "blocks: {basic: {extends: basic, about: mine}, b: {branch: {r: relu}}}\n",
        "x.yaml": "extends: base.yaml\nblocks: {basic: null}\n",
    }
    assert list(blocks(tmp_path, files)) == ["b"]
    files["x.yaml"] = "extends: base.yaml\nblocks: null\n"
    assert blocks(tmp_path, files) == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("blocks: {a: {extends: nonsense}}", "unknown-block"),
        ("blocks: {a: {extends: a}}", "unknown-block"),
        ("blocks: {a: {extends: [basic]}}", "wrong-type"),
        ("blocks: {a: {extends: basic, branch: {conv9: {bias: true}}}}", "nothing-to-patch"),
        ("blocks: {a: {branch: {conv1: null}}}", "nothing-to-delete"),
        ("blocks: {a: basic}", "wrong-type"),
        ("blocks: [a]", "wrong-type"),
    ],
)
def test_blocks_that_cannot_be_merged(tmp_path: Path, text: str, code: str) -> None:
    assert [finding.code for finding in refusals(tmp_path, {"x.yaml": text + "\n"})] == [code]
