"""A run's training and validation examples, from what the configuration says of its data."""

from collections.abc import Callable
from pathlib import Path

from cplxsep.config import Config
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.manifest import Utterance, assign_splits, check_disjoint, load_speech
from cplxsep.data.noise import load_noise
from cplxsep.data.noisy import NoisySpeech
from cplxsep.errors import InputError, UsageError
from cplxsep.training.batches import Examples

VALID_SEED = 1  # one set of validation mixtures for all runs on some speech
Say = Callable[[str], None]


def load_examples(config: Config, folder: Path, say: Say) -> tuple[Examples, Examples]:
    """Training and validation examples; decoded audio is kept in `folder` unless told otherwise.

    Raises:
        UsageError: no speech is named, or it has no such split.
        InputError: the data cannot be used.
    """
    data = config.data
    if not data.speech:
        raise UsageError("data.speech is not set: the manifest CSV or folder of speech to train on")
    speech = _recordings(data.speech, load_speech, say)
    noise = _recordings(config.noise.recordings, load_noise, say) if config.noise.recordings else []
    cache = Path(data.cache).expanduser() if data.cache else folder / "cache"

    def examples(split: str, training: bool) -> Examples:
        own = _of_split(data.speech, speech, split)
        seconds = data.seconds if training else data.valid_seconds
        speed = data.speed if training and data.speed != (1.0, 1.0) else None
        seed = config.train.seed + 2 if training else VALID_SEED

        def report(error: InputError) -> None:
            say(f"left out: {error}")

        if not noise:
            return DynamicMixtures(
                own,
                sample_rate=config.model.sample_rate,
                sources=config.model.sources,
                seconds=seconds,
                snr=data.snr,
                speed=speed,
                gain_db=data.gain,
                seed=seed,
                cache=cache,
                report=report,
            )
        # Validation is of what can be scored: speech in noise, undamaged.
        plain = {"noise_only": 0, "clean": 0, "reverberant": 0, "band_limited": 0, "clipped": 0}
        return NoisySpeech(
            own,
            _of_split(config.noise.recordings, noise, split.partition(",")[0].strip()),
            damage=config.noise if training else config.noise.model_copy(update=plain),
            sample_rate=config.model.sample_rate,
            seconds=seconds,
            snr=data.snr,
            speed=speed,
            gain_db=data.gain,
            seed=seed,
            cache=cache,
            report=report,
        )

    return examples(data.train_split, True), examples(data.valid_split, False)


def _recordings(source: str, load: Callable[..., list[Utterance]], say: Say) -> list[Utterance]:
    """Recordings, speakers disjoint between splits; a folder is split here."""
    found = load(Path(source).expanduser(), lambda error: say(f"left out: {error}"))
    recordings = assign_splits(found)
    check_disjoint(recordings)
    return recordings


def _of_split(source: str, recordings: list[Utterance], splits: str) -> list[Utterance]:
    """Those of one split, or of several with commas between."""
    known = sorted({item.split for item in recordings})
    wanted = [name.strip() for name in splits.split(",")]
    for name in wanted:
        if name not in known:
            raise UsageError(f"{source} has no split '{name}'; it has: {', '.join(known)}")
    return [item for item in recordings if item.split in wanted]
