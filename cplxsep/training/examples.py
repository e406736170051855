"""A run's training and validation examples, from what the configuration says of its data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as once
from pathlib import Path
from typing import Any

from cplxsep.config import TAKE_SILENCE, Config, expanded
from cplxsep.data.cache import Report
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.layout import METADATA, kinds
from cplxsep.data.listed import ListedMixtures
from cplxsep.data.manifest import Utterance, assign_splits, check_disjoint, load_speech
from cplxsep.data.noise import load_noise
from cplxsep.data.prepared import PreparedMixtures
from cplxsep.data.recipes.rebuild import Roots
from cplxsep.errors import InputError, UsageError
from cplxsep.training.batches import Examples

VALID_SEED = 1  # one set of validation mixtures for all runs on some speech
Say = Callable[[str], None]


def load_examples(config: Config, folder: Path, say: Say) -> tuple[list[Examples], Examples]:
    """Training examples, at each of `data.rates`, and validation examples, at the highest.

    Decoded audio is kept in `folder` unless told otherwise.

    Raises:
        UsageError: no speech or mixtures are named, or they have no such split or other sources,
            or there is nothing to separate.
        InputError: the data cannot be used.
    """
    config = expanded(config)
    data = config.data
    if shared := {*_names(data.train_split)} & {*_names(data.valid_split)}:
        say(
            f"data.train_split and data.valid_split share {', '.join(sorted(shared))}: the score "
            "of validation is of talkers that were trained on, and others will have less"
        )
    if data.mixtures:
        return [_prepared(config, True, say)], _prepared(config, False, say)
    if not data.speech:
        raise UsageError(
            "neither data.speech is set, the manifest CSV or folder of speech to train on, "
            "nor data.mixtures, a folder of prepared mixtures"
        )
    if config.model.sources == 1 and not config.noise.recordings:
        raise UsageError(
            "model.sources = 1 leaves nothing to separate: set noise.recordings, to enhance speech"
        )
    say_once = once(say)  # rooms are read for each rate and split

    def report(error: InputError) -> None:
        say_once(f"left out: {error}")

    noise: list[Utterance] = []
    with _named("data.speech"):
        speech = _recordings(data.speech, load_speech, report)
    with _named("noise.recordings"):
        if config.noise.recordings:
            noise = _recordings(config.noise.recordings, load_noise, report)
    cache = Path(data.cache) if data.cache else folder / "cache"

    def examples(split: str, training: bool, rate: int) -> Examples:
        own = _of_split(data.speech, speech, split)
        sounds: list[Utterance] = []
        if noise:
            sounds = _of_split(config.noise.recordings, noise, _names(split)[0])
        common: dict[str, Any] = {
            "sample_rate": rate,
            "seconds": data.seconds if training else data.valid_seconds,
            "seed": config.train.seed + 2 if training else VALID_SEED,
            "cache": cache,
            "report": report,
        }
        some = config if training else _undamaged(config)
        if config.scenes:
            return Conversations(own, sounds, some, **common)
        common |= {
            "snr": data.snr,
            "speed": some.data.speed if some.data.speed != (1.0, 1.0) else None,
            "gain_db": data.gain,
        }
        if noise:
            plain = {"clean": 0.0, "reverberant": 0.0}
            damage = some.noise if training else some.noise.model_copy(update=plain)
            return NoisySpeech(own, sounds, damage=damage, **common)
        if training:
            common |= {"pauses": data.pauses, "similar": data.similar}
        return DynamicMixtures(own, sources=config.model.sources, **common)

    rates = config.training_rates
    made = {rate: examples(data.train_split, True, rate) for rate in dict.fromkeys(rates)}
    return [made[rate] for rate in rates], examples(data.valid_split, False, max(rates))


def are_conversations(config: Config, examples: Examples) -> bool:
    """Whether talkers take turns in them, so that some say nothing for long."""
    return config.scenes or (isinstance(examples, PreparedMixtures) and examples.conversations)


def _undamaged(config: Config) -> Config:
    """The same for validation, which is of what can be scored: speech, as it was recorded."""
    shares = ("noise_only", "band_limited", "clipped", "offset", "hum", "coded")
    noise = config.noise.model_copy(update=dict.fromkeys(shares, 0.0))
    data = config.data.model_copy(update={"speed": (1.0, 1.0), "similar": 0.0})
    return config.model_copy(update={"noise": noise, "data": data})


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Tell of which key a fault is: paths of a shipped configuration are not the user's."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error} (set by {key})") from error


def _prepared(config: Config, training: bool, say: Say) -> Examples:
    """Examples from a folder of prepared mixtures, or from their table where there are no files."""
    data = config.data
    folder = Path(data.mixtures)
    split = data.train_split if training else data.valid_split

    @once
    def silent() -> None:
        if training:  # validation leaves them out
            say(
                f"in some pieces of {folder / split} a talker says nothing, which train.loss "
                f"{config.train.loss} cannot take: set it to one of {', '.join(TAKE_SILENCE)}"
            )

    any_piece = training and config.train.loss in TAKE_SILENCE
    options: dict[str, Any] = {
        "sample_rate": config.model.sample_rate,
        "sources": config.model.sources,
        "seconds": data.seconds if training else data.valid_seconds,
        "seed": config.train.seed + 2 if training else VALID_SEED,
        "mix": data.mix,
        "silent": None if any_piece else silent,
    }
    table = folder / split / METADATA
    if not table.is_file() or kinds(folder / split):
        prepared = PreparedMixtures(folder, split, **options)
        if prepared.conversations and config.train.loss not in TAKE_SILENCE:
            raise UsageError(
                f"{folder} has conversations, and train.loss {config.train.loss} cannot take a "
                f"talker who says nothing: set it to one of {', '.join(TAKE_SILENCE)}"
            )
        return prepared
    if not data.speech:
        raise UsageError(
            f"{table} lists recordings, no files: set data.speech to what it was made from"
        )
    roots = Roots(
        _root(data.speech),
        _root(config.noise.recordings) if config.noise.recordings else None,
        Path(config.noise.rooms) if config.noise.rooms else None,
    )
    return ListedMixtures(table, roots, **options)


def _root(source: str) -> Path:
    """The folder that a table's paths are relative to: of a manifest, or of recordings itself."""
    path = Path(source)
    return path if path.is_dir() else path.parent


def _recordings(
    source: str, load: Callable[..., list[Utterance]], report: Report
) -> list[Utterance]:
    """Recordings, speakers disjoint between splits; a folder is split here."""
    recordings = assign_splits(load(Path(source), report))
    check_disjoint(recordings)
    return recordings


def _names(splits: str) -> list[str]:
    return [name.strip() for name in splits.split(",")]


def _of_split(source: str, recordings: list[Utterance], splits: str) -> list[Utterance]:
    """Those of one split, or of several with commas between."""
    known = sorted({item.split for item in recordings})
    wanted = _names(splits)
    for name in wanted:
        if name not in known:
            raise UsageError(f"{source} has no split '{name}'; it has: {', '.join(known)}")
    return [item for item in recordings if item.split in wanted]
