"""Made-up corpora in the layouts of WSJ0, LibriSpeech and WHAM, with their lists."""

from pathlib import Path

import numpy as np
import soundfile
from synthetic import babble

RATE = 16000


def make_wsj0(root: Path, *, sphere: bool = False) -> tuple[Path, Path]:
    """Lists of 2 and 3 talkers for tr, cv and tt, and the recordings that they name."""
    lists, corpus = root / "lists", root / "corpus"
    lists.mkdir(parents=True)
    speakers = {"tr": ("si_tr_s", "01t 02a 4ab"), "cv": ("si_tr_s", "01t 02a 4ab")}
    speakers["tt"] = ("si_et_05", "440 441 442")
    seed = 0
    for split, (part, names) in speakers.items():
        paths = []
        for name in names.split():
            path = f"wsj0/{part}/{name}/{name}o030{split[1]}.wav"
            file = corpus / path
            file.parent.mkdir(parents=True, exist_ok=True)
            audio = babble(1.0 + 0.31 * (seed % 4), RATE, seed)
            seed += 1
            if sphere:
                soundfile.write(
                    file.with_suffix(".wv1"), audio, RATE, format="NIST", subtype="PCM_16"
                )
            else:
                soundfile.write(file, audio, RATE)
            paths.append(path)
        a, b, c = paths
        two = f"{a} 0.13 {b} -0.13\n{b} 0.0597139 {c} -0.0597139\n{c} 2 {a} -2\n"
        three = f"{a} 1.25 {b} -1.25 {c} 0\n"
        (lists / f"mix_2_spk_{split}.txt").write_text(two)
        (lists / f"mix_3_spk_{split}.txt").write_text(three)
    return lists, corpus


def make_librimix(root: Path) -> tuple[Path, Path, Path]:
    """Metadata of two splits with noise, LibriSpeech as FLAC, and stereo WHAM noise."""
    metadata, speech, noise = root / "metadata", root / "LibriSpeech", root / "wham"
    metadata.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for split, part, first in (("dev-clean", "cv", 10), ("test-clean", "tt", 20)):
        paths = []
        for number in range(3):
            speaker = first + number
            path = f"{split}/{speaker}/7/{speaker}-7-0001.flac"
            (speech / path).parent.mkdir(parents=True)
            soundfile.write(speech / path, babble(1.0 + 0.4 * number, RATE, speaker), RATE)
            paths.append(path)
        (noise / part).mkdir(parents=True)
        # One shorter, one longer than the talkers.
        for name, seconds in (("short.wav", 0.9), ("long.wav", 3.0)):
            pair = 0.05 * rng.standard_normal((round(seconds * RATE), 2))
            soundfile.write(noise / part / name, pair, RATE)
        lines = [
            "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain,"
            "noise_path,noise_gain"
        ]
        for number, (one, two, sound) in enumerate(
            ((0, 1, "short"), (1, 2, "long"), (2, 0, "short"))
        ):
            gains = 0.31 + 0.1 * number, 0.9123456 - 0.1 * number, 1.7 + number
            name = f"{Path(paths[one]).stem}_{Path(paths[two]).stem}"
            lines.append(
                f"{name},{paths[one]},{gains[0]},{paths[two]},{gains[1]},"
                f"{part}/{sound}.wav,{gains[2]}"
            )
        (metadata / f"libri2mix_{split}.csv").write_text("\n".join(lines) + "\n")
        (metadata / f"libri2mix_{split}_info.csv").write_text("speaker_ID,sex\n")
    return metadata, speech, noise
