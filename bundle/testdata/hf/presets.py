"""Writes bundle/hftorchvision.go: how the weights of torchvision want pictures, by torchvision's own transforms.

    presets.py ../../hftorchvision.go && gofmt -w ../../hftorchvision.go
"""

import sys
import textwrap

import torchvision
from torchvision.models import get_model_weights, list_models

FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HEAD = """package bundle

import "strings"

// preset is how torchvision's weights want pictures: the shorter side resized,
// the middle cut out.
type preset struct {
	resize, crop int32
	filter       int  // Pillow's code
	halves       bool // mean and std are 0.5 and not ImageNet's
}

// torchvisionPresets are those of torchvision %s by the names of weights;
// bundle/testdata/hf/presets.py writes this file.
var torchvisionPresets = presets(map[preset]string{
"""
TAIL = """}

func presets(names map[preset]string) map[string]preset {
	byName := map[string]preset{}
	for p, list := range names {
		for _, name := range strings.Fields(list) {
			byName[name] = p
		}
	}
	return byName
}
"""


def main(path):
    groups, defaults = {}, []
    for model in list_models(module=torchvision.models):
        weights = get_model_weights(model)
        defaults.append((model, str(weights.DEFAULT)))
        for w in weights:
            if "FEATURES" in str(w):  # vgg16 without its head
                continue
            t = w.transforms()
            (resize,), (crop,), normal = t.resize_size, t.crop_size, (tuple(t.mean), tuple(t.std))
            assert normal in (IMAGENET, ((0.5,) * 3,) * 2), w
            groups.setdefault((resize, crop, FILTERS[t.interpolation.value], normal != IMAGENET), []).append(str(w))
    lines = []
    for (resize, crop, code, halves), names in groups.items():
        rows = textwrap.wrap(" ".join(sorted(names)), 130, break_long_words=False)
        rows = [f'"{row} "' for row in rows[:-1]] + [f'"{rows[-1]}"']
        lines.append(f"\t{{{resize}, {crop}, {code}, {str(halves).lower()}}}: " + " +\n\t\t".join(rows) + ",\n")
    names = [f'\t"{model}": "{w}",\n' for model, w in defaults]
    version = torchvision.__version__.split("+")[0]
    with open(path, "w") as out:
        out.write(HEAD % version + "".join(lines) + "})\n\n// torchvisionDefaults are the weights that a model's name stands for.\n"
                  "var torchvisionDefaults = map[string]string{\n" + "".join(names) + TAIL)


if __name__ == "__main__":
    main(sys.argv[1])
