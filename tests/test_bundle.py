"""The one script of every page is exactly what its parts make, and the vendored parts are what they claim to be."""

from __future__ import annotations

import shutil

import pytest

from tools import bundle


def test_the_committed_bundle_is_what_the_tool_writes():
    for path, parts in bundle.BUNDLES.items():
        assert path.read_bytes() == bundle.bundled(parts), "run `make bundle` and commit the result"


def test_every_vendored_script_has_its_digest_in_the_vendor_file():
    scripts = {script.name for script in bundle.VENDOR.glob("*.js")}
    assert scripts == set(bundle.expected_digests())
    bundle.check_vendor()


def test_a_changed_vendored_script_is_refused(tmp_path, monkeypatch):
    vendor = shutil.copytree(bundle.VENDOR, tmp_path / "vendor")
    monkeypatch.setattr(bundle, "VENDOR", vendor)
    bundle.check_vendor()
    (vendor / "htmx-4.0.1.min.js").write_bytes(b"alert(1)")
    with pytest.raises(bundle.VendorChanged, match=r"htmx-4\.0\.1"):
        bundle.check_vendor()


def test_an_unlisted_vendored_script_is_refused(tmp_path, monkeypatch):
    vendor = shutil.copytree(bundle.VENDOR, tmp_path / "vendor")
    monkeypatch.setattr(bundle, "VENDOR", vendor)
    (vendor / "stranger-1.0.min.js").write_bytes(b"")
    with pytest.raises(bundle.VendorChanged, match="stranger"):
        bundle.check_vendor()


def test_the_core_stands_before_its_extension_and_our_script():
    text = bundle.BUNDLE.read_text("utf-8")
    positions = [text.index(bundle.without_comments(part.read_text("utf-8"))) for part in bundle.PARTS]
    assert positions == sorted(positions)
    assert [part.name for part in bundle.PARTS] == ["htmx-4.0.1.min.js", "hx-ws-4.0.1.min.js", "checkout.js"]


def test_comments_stay_in_the_source_and_code_does_not():
    script = "/* What it\n   is. */\n// Why.\nlet a = 1; // kept: it may be in a string\n\n    let b = 'http://x/*';\n"
    assert bundle.without_comments(script) == "let a = 1; // kept: it may be in a string\nlet b = 'http://x/*';"


def test_no_literal_of_our_scripts_spans_lines():
    for name in ("checkout.js", "board.js"):
        for line in (bundle.STATIC / name).read_text("utf-8").splitlines():
            assert line.count("`") % 2 == 0, line


def test_the_vendored_scripts_are_in_the_bundle_as_they_are():
    text = bundle.BUNDLE.read_bytes()
    assert all(part.read_bytes().rstrip() in text for part in bundle.PARTS if part.parent == bundle.VENDOR)
