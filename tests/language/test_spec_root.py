"""The folder that `extends` may not leave: a spec gives the same answer from every working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import SpecError
from resnet_spec.language.files import spec_root
from resnet_spec.language.library import shipped_root

BASE = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}\n"
UP = "spec: 1\nextends: ../base.yaml\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder; the working directory is elsewhere."""
    home = tmp_path.resolve() / "users" / "home"
    (home / "work" / "project" / "specs").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return home


@pytest.mark.parametrize("marker", [".git", "pyproject.toml"])
@pytest.mark.parametrize("folder", [True, False])
def test_the_root_is_the_project(home: Path, marker: str, folder: bool) -> None:
    project = home / "work" / "project"
    if folder:
        (project / marker).mkdir()
    else:
        (project / marker).touch()  # `.git` is a file in a worktree and in a submodule
    assert spec_root(project / "x.yaml") == project
    assert spec_root(project / "specs" / "x.yaml") == project
    assert spec_root(project / "specs" / "deep" / ".." / "x.yaml") == project


def test_the_nearest_marker_counts(home: Path) -> None:
    (home / "work" / ".git").mkdir()
    (home / "work" / "project" / "pyproject.toml").touch()
    assert spec_root(home / "work" / "project" / "specs" / "x.yaml") == home / "work" / "project"
    assert spec_root(home / "work" / "x.yaml") == home / "work"


@pytest.mark.parametrize("marked", ["home", "above", "far above"])
def test_the_home_folder_and_those_above_it_are_no_projects(home: Path, marked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = {"home": home, "above": home.parent, "far above": home.parent.parent}[marked]
    (folder / ".git").mkdir()
    specs = home / "work" / "project" / "specs"
    assert spec_root(specs / "x.yaml") == specs
    monkeypatch.chdir(folder)  # nor is one of them because it is the working directory
    assert spec_root(specs / "x.yaml") == specs
    monkeypatch.chdir(home / "work")
    assert spec_root(specs / "x.yaml") == home / "work"


def test_a_home_folder_that_is_a_link_is_recognized(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    (home / ".git").mkdir()
    assert spec_root(tmp_path / "link" / "work" / "x.yaml") == home / "work"


def test_without_a_home_folder_the_project_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    (home / ".git").mkdir()
    assert spec_root(home / "work" / "x.yaml") == home


def test_shipped_specs_have_their_own_root() -> None:
    """The checkout of this package is a project as well."""
    assert spec_root(shipped_root() / "variants" / "x.yaml") == shipped_root().resolve()


@pytest.mark.parametrize("place", [".", "specs", "..", "/"])
def test_a_spec_of_a_project_is_the_same_from_everywhere(home: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = home / "work" / "project"
    (project / ".git").mkdir()
    (project / "base.yaml").write_text(BASE)
    (project / "specs" / "a.yaml").write_text(UP)
    monkeypatch.chdir(project / place)
    assert resnet_spec.analyze(project / "specs" / "a.yaml").total.params == 54
    (project / "specs" / "b.yaml").write_text("spec: 1\nextends: ../../base.yaml\n")
    (home / "work" / "base.yaml").write_text(BASE)
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(project / "specs" / "b.yaml")
    assert [finding.code for finding in caught.value.diagnostics] == ["extends-outside"]
    assert resnet_spec.analyze(project / "specs" / "b.yaml", spec_root=home / "work").total.params == 54


def test_a_root_that_is_named_wins_over_the_project(home: Path) -> None:
    project = home / "work" / "project"
    (project / ".git").mkdir()
    (project / "base.yaml").write_text(BASE)
    (project / "specs" / "a.yaml").write_text(UP)
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(project / "specs" / "a.yaml", spec_root=project / "specs")
    assert [finding.code for finding in caught.value.diagnostics] == ["extends-outside"]


# --- what is read ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["secret", "secret.txt", "secret.yaml.bak", ".env", "yaml"])
def test_only_yaml_files_are_read(home: Path, name: str) -> None:
    project = home / "work" / "project"
    (project / name).write_text("password: 1234\n")
    (project / "x.yaml").write_text(f"spec: 1\nextends: {name}\n")
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(project / "x.yaml")
    (finding,) = caught.value.diagnostics
    assert finding.code == "extends-not-yaml"
    assert "password" not in str(caught.value)


def test_a_link_counts_as_what_it_leads_to(home: Path) -> None:
    project = home / "work" / "project"
    (project / "secret").write_text("password: 1234\n")
    (project / "base.yaml").symlink_to("secret")
    (project / "x.yaml").write_text("spec: 1\nextends: base.yaml\n")
    with pytest.raises(SpecError, match="is a link to `secret`"):
        resnet_spec.analyze(project / "x.yaml")


@pytest.mark.parametrize("name", ["base.yaml", "base.yml"])
def test_both_endings_are_read(home: Path, name: str) -> None:
    project = home / "work" / "project"
    (project / name).write_text(BASE)
    (project / "x.yaml").write_text(f"spec: 1\nextends: {name}\n")
    assert resnet_spec.analyze(project / "x.yaml").total.params == 54


def test_recipes_have_the_same_root(home: Path) -> None:
    from resnet_spec.training.recipe import read_recipe

    project = home / "work" / "project"
    (project / ".git").mkdir()
    (project / "base.yaml").write_text("recipe: 1\nepochs: 3\n")
    (project / "specs" / "r.yaml").write_text("recipe: 1\nextends: ../base.yaml\n")
    assert read_recipe(project / "specs" / "r.yaml").epochs == 3
