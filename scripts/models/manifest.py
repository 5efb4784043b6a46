"""Writes bundle.yaml files, the same bytes for the same content."""

import math

import yaml


class Dumper(yaml.SafeDumper):
    """Block style, but lists of plain values on one line."""

    def represent_list(self, items):
        plain = all(not isinstance(item, (dict, list)) for item in items)
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


Dumper.add_representer(list, Dumper.represent_list)


def outward(low, high):
    """A range rounded outwards to one digit, so that its ends are no customer's own numbers."""
    def rounded(value, to):
        if value == 0:
            return 0.0
        unit = 10.0 ** math.floor(math.log10(abs(value)))
        return float(f"{to(round(value / unit, 9)) * unit:.12g}")

    return rounded(float(low), math.floor), rounded(float(high), math.ceil)


def write(path, content, script):
    """Writes the manifest `content`, a dictionary shaped like scry.bundle.v1.Manifest, to `path`."""
    text = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(f"# Written by {script}; change it there.\n{text}", encoding="utf-8")
