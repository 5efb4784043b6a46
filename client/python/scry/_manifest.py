"""Writes bundle.yaml files, the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format

from .bundle.v1 import bundle_pb2


class _Dumper(yaml.SafeDumper):
    """Block style, but lists of plain values on one line."""

    def represent_list(self, data: Any) -> Any:
        plain = all(not isinstance(item, (dict, list)) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(list, _Dumper.represent_list)


def write(path: Path, content: dict[str, Any], writer: str) -> None:
    """Writes a manifest, a dictionary shaped like scry.bundle.v1.Manifest. A field that the contract does not have is an
    error."""
    json_format.ParseDict(content, bundle_pb2.Manifest())
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(f"# Written by {writer}.\n{text}", encoding="utf-8")
