"""The pictures of the README: what the shipped models make of the recordings in this folder.

    python examples/pictures.py

Runs `separate` and `enhance` with --plot and stores the pictures beside the recordings.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image  # comes with matplotlib

HERE = Path(__file__).resolve().parent
PICTURES = {"two_talkers": "separate", "noisy": "enhance"}
WIDTH, COLOURS = 900, 128  # a quarter of the bytes, and nothing that the eye would miss


def main() -> None:
    for name, command in PICTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            options = [HERE / f"{name}.wav", "--plot", "-o", folder]
            run = [sys.executable, "-m", "cplxsep", "-q", command, *options]
            subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
            with Image.open(Path(folder) / f"{name}_plot.png") as picture:
                size = (WIDTH, round(picture.height * WIDTH / picture.width))
                small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        small.quantize(COLOURS).save(HERE / f"{name}.png", optimize=True)
        print(HERE / f"{name}.png")


if __name__ == "__main__":
    main()
