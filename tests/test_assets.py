"""Bundled files: intact ones load, missing and corrupted ones are named with the remedy."""

import json

import pytest

from course_lib.models import assets


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A bundle folder with two small files and its manifest, in place of the real one."""
    folder = tmp_path / "course-lm"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    (folder / "model.safetensors").write_bytes(bytes(range(200)))
    (folder / "README.md").write_text("a model card")
    assets.write_manifest(tmp_path)
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    return tmp_path


def test_intact_files_are_accepted_and_the_model_card_is_free_to_change(bundle):
    assert assets.asset_folder("course-lm") == bundle / "course-lm"
    listed = json.loads((bundle / "manifest.json").read_text())["course-lm"]
    assert set(listed) == {"config.json", "model.safetensors"}
    assert all(len(digest) == 64 for digest in listed.values())


def test_one_changed_byte_is_noticed_and_the_remedy_named(bundle):
    weights = bundle / "course-lm" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"\x00")
    with pytest.raises(assets.AssetError, match=r"corrupted(?s:.)*git checkout -- .*course-lm"):
        assets.asset_folder("course-lm")
    weights.write_bytes(whole[:50])  # an interrupted copy
    with pytest.raises(assets.AssetError, match="make models"):
        assets.asset_folder("course-lm")
    weights.write_bytes(whole)  # restored: no restart of Python is needed
    assert assets.asset_folder("course-lm").is_dir()


def test_missing_file_folder_and_manifest_are_noticed(bundle):
    (bundle / "course-lm" / "config.json").unlink()
    with pytest.raises(assets.AssetError, match=r"config\.json is missing(?s:.)*git checkout"):
        assets.asset_folder("course-lm")
    with pytest.raises(assets.AssetError, match="lists no 'course-txl'(?s:.)*git checkout"):
        assets.asset_folder("course-txl")
    (bundle / "manifest.json").write_text("{ not json")
    with pytest.raises(assets.AssetError, match="manifest.json is corrupted"):
        assets.asset_folder("course-lm")
    (bundle / "manifest.json").unlink()
    with pytest.raises(assets.AssetError, match="manifest.json is missing"):
        assets.asset_folder("course-lm")


def test_files_are_read_once_per_process(bundle, monkeypatch):
    read = []
    monkeypatch.setattr(
        assets, "sha256", lambda path, f=assets.sha256: read.append(path) or f(path)
    )
    for _ in range(3):
        assets.asset_folder("course-lm")
    assert len(read) == 2


def test_unknown_names_list_the_bundled_ones():
    with pytest.raises(ValueError, match="course-lm, course-lstm"):
        assets.asset_folder("gpt2")


def test_load_model_passes_the_error_on(bundle):
    from course_lib import load_model

    (bundle / "course-lm" / "model.safetensors").write_bytes(b"")
    with pytest.raises(assets.AssetError, match="git checkout"):
        load_model()


@pytest.mark.parametrize("name", assets.BUNDLED)
def test_the_shipped_models_are_intact(name):
    assert (assets.asset_folder(name) / "config.json").is_file()
