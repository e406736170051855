"""Configurations of what is trained on a GPU, and what is changed of them there."""

from pathlib import Path

from cplxsep.config import Config, read_config, shipped
from cplxsep.model_folder.catalogue import resolve
from cplxsep.model_folder.contents import CONFIG


def configuration(name: str, changes: list[str] | None = None) -> Config:
    """That of a file, or by the name of a shipped configuration or model, with changes."""
    if name in shipped.names():
        return shipped.load(name, changes)
    path = Path(name)
    return read_config(path if path.is_file() else resolve(name) / CONFIG, changes)


def of_minutes(name: str, data: Path, noise: bool) -> list[str]:
    """Changes that make a run of minutes of a configuration, with the data of a folder.

    Its decay ends with the minutes, however many steps they hold, and the GPU does not often wait
    for a validation or a checkpoint. Noise and rooms are those of noise.csv and rooms/, if they are
    there; `noise` also for a configuration that has none.
    """
    config = configuration(name)
    found = ["train.accumulate=1", "train.steps=1000000", "train.valid_every=2000"]
    found += ["train.save_every=0", f"data.speech={data / 'speech.csv'}"]
    recordings, rooms = data / "noise.csv", data / "rooms"
    in_noise = recordings.exists() and (noise or config.noise.recordings)
    found.append(f"noise.recordings={recordings if in_noise else ''}")
    found.append(f"noise.rooms={rooms if config.noise.rooms and rooms.is_dir() else ''}")
    if in_noise:
        found.append("data.pauses=0")  # which are of talkers without noise
    return found


def to_time(speech: Path, batch: int, steps: int, quick: bool) -> list[str]:
    """Changes that make some steps of any configuration on the same speech, to take their time."""
    found = [f"data.speech={speech}", "data.mixtures=", "data.seconds=4.0"]
    found += ["data.train_split=train", "data.valid_split=valid"]
    found += ["data.valid_seconds=4.0", "data.valid_mixtures=8"]
    found += [f"train.batch={batch}", "train.accumulate=1"]
    found += [f"train.valid_every={steps}", f"train.save_every={steps}"]
    if quick:
        found += ["data.seconds=0.25", "data.valid_seconds=0.5", "model.dual_path.blocks=[1]"]
    return found
