"""A tiny training problem that runs anywhere: made-up talkers and a network of a few maps."""

from pathlib import Path

import numpy as np
import soundfile

CONFIG = """
[model]
start_maps = 4
levels = 1
transformations = 1
dropout = 0.2
[data]
speech = "{speech}"
train_split = "tr"
valid_split = "cv"
seconds = 0.5
valid_mixtures = 4
[optim]
lr = 1e-3
warmup_steps = 2
ema = 0.9
[train]
steps = 12
batch = 2
precision = "fp32"
valid_every = 5
save_every = 1
"""


def write_speech(folder: Path) -> Path:
    """Manifest of 6 made-up talkers, 4 of them for training: modulated tones in noise."""
    rng = np.random.default_rng(0)
    rows = ["path,corpus,speaker,split,sample_rate,seconds"]
    for talker in range(6):
        time = np.arange(16000) / 8000
        tone = np.sin(2 * np.pi * (150 + 90 * talker) * time)
        audio = 0.2 * tone * (1 + np.sin(2 * np.pi * 3 * time + talker))
        audio += 0.02 * rng.standard_normal(len(time))
        soundfile.write(folder / f"t{talker}.wav", audio, 8000)
        split = "tr" if talker < 4 else "cv"
        rows.append(f"t{talker}.wav,made,t{talker},{split},8000,2.0")
    manifest = folder / "speech.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest
