"""Reads an image in the form of an OCI layout, a folder, and says what is wrong with it."""

import gzip
import hashlib
import io
import json
import tarfile


def _blob(layout, descriptor):
    """The bytes that a descriptor names."""
    kind, _, digest = descriptor["digest"].partition(":")
    return (layout / "blobs" / kind / digest).read_bytes()


def _whole(layout, descriptor):
    """Whether the blob of a descriptor is there with its digest and size."""
    kind, _, digest = descriptor["digest"].partition(":")
    path = layout / "blobs" / kind / digest
    return path.is_file() and path.stat().st_size == descriptor["size"] and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _manifest(layout):
    """The one manifest of the layout, and its descriptor."""
    (descriptor,) = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
    return descriptor, json.loads(_blob(layout, descriptor))


def faults(layout):
    """What is wrong with a layout: blobs that are missing, changed or of nobody, and a configuration of other layers."""
    if json.loads((layout / "oci-layout").read_text(encoding="utf-8")) != {"imageLayoutVersion": "1.0.0"}:
        return ["oci-layout"]
    descriptor, manifest = _manifest(layout)
    named = [descriptor, manifest["config"], *manifest["layers"]]
    found = [f"blob {one['digest']}" for one in named if not _whole(layout, one)]
    if found:
        return found
    found += [f"blob {path.name} is named nowhere" for path in (layout / "blobs/sha256").iterdir() if f"sha256:{path.name}" not in {one["digest"] for one in named}]
    config = json.loads(_blob(layout, manifest["config"]))
    plain = [f"sha256:{hashlib.sha256(gzip.decompress(_blob(layout, layer))).hexdigest()}" for layer in manifest["layers"]]
    if config["rootfs"] != {"type": "layers", "diff_ids": plain}:
        found.append("the layers of the configuration")
    if (config["os"], config["architecture"]) != (descriptor["platform"]["os"], descriptor["platform"]["architecture"]):
        found.append("the platform")
    owned = [name for name, member in _members(layout) if (member.uid, member.gid, member.uname) != (0, 0, "")]
    return found + [f"{name} is somebody's" for name in owned]


def _archive(layout):
    (layer,) = _manifest(layout)[1]["layers"]
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress(_blob(layout, layer))))


def _members(layout):
    with _archive(layout) as archive:
        return [(member.name, member) for member in archive]


def members(layout):
    """What is in the one layer: by path, the mode and, of a file, its content."""
    with _archive(layout) as archive:
        return {m.name: (m.mode, archive.extractfile(m).read() if m.isfile() else None) for m in archive}
