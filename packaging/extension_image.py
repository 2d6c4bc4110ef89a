#!/usr/bin/env python3
"""Makes an image of the extension for CloudNativePG, which mounts it beside PostgreSQL 18 (extension_control_path), without Docker:
an OCI layout, a folder whose one layer has share/extension, lib and licenses.

Usage: packaging/extension_image.py ROOT VERSION LAYOUT. ROOT is a folder with those three, which becomes the layer; LAYOUT is the
folder of the image, which must not be there. The same files make the same image, byte for byte: SOURCE_DATE_EPOCH dates it.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
import time
from pathlib import Path

PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def tar_of(root, epoch):
    """The files of a folder as a tar archive that depends on their names, content and executable bits alone."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            member = archive.gettarinfo(path, str(path.relative_to(root)))
            if not (member.isfile() or member.isdir()):
                sys.exit(f"packaging/extension_image.py: {path} is neither a file nor a folder")
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            with open(path, "rb") if member.isfile() else io.BytesIO() as content:
                archive.addfile(member, content if member.isfile() else None)
    return out.getvalue()


class Layout:
    """The folder of an image, which grows blob by blob."""

    def __init__(self, folder):
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        self.folder = folder

    def add(self, content, kind, **more):
        """Stores a blob, and gives what names it elsewhere."""
        if not isinstance(content, bytes):
            content = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content), **more}

    def close(self, index):
        """Writes what makes a folder of blobs an image."""
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
        (self.folder / "index.json").write_text(json.dumps(index, sort_keys=True, separators=(",", ":")), encoding="utf-8")


def image(root, version, folder, epoch):
    """Makes the layout."""
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    system = {"os": "linux", "architecture": PROCESSORS[platform.machine()]}
    labels = {
        "org.opencontainers.image.title": "pg_harca",
        "org.opencontainers.image.description": "Query types and hybrid search inside PostgreSQL 18, with its engine, model and ONNX Runtime",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "PostgreSQL AND MIT",
        "org.opencontainers.image.created": made,
    }
    layout = Layout(folder)
    plain = tar_of(root, epoch)
    layer = layout.add(gzip.compress(plain, 9, mtime=0), LAYER)
    config = layout.add(
        {
            **system,
            "created": made,
            "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
            "history": [{"created": made, "created_by": "packaging/extension_image.py"}],
        },
        CONFIG,
    )
    content = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], "annotations": labels}
    manifest = layout.add(content, MANIFEST, platform=system, annotations={"org.opencontainers.image.ref.name": f"{version}-18"})
    layout.close({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]})


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    root, version, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    if folder.exists():
        sys.exit(f"packaging/extension_image.py: {folder} is there already")
    image(root, version, folder, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))


main()
