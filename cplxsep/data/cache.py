"""Decoded speech at one rate in one memory-mapped file: decoding once makes examples fast."""

import io as streams
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cplxsep.audio.atomic import make_folder, replacing, write_text
from cplxsep.audio.level import rms
from cplxsep.data.manifest import Utterance, fingerprint
from cplxsep.data.recordings import check_length, decode
from cplxsep.errors import InputError
from cplxsep.parallel import default_workers, in_threads

_VERSION = 1
_FULL = 32767.0
Report = Callable[[InputError], None]


@dataclass(frozen=True)
class Making:
    """A cache that is being made at `path`; seconds as the recordings' headers or manifest say."""

    path: Path
    recordings: int
    seconds: float
    sample_rate: int

    @property
    def size(self) -> float:
        """Bytes that it will have."""
        return 2 * self.seconds * self.sample_rate


Watch = Callable[[Iterable[Any], Making], Iterable[Any]]
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """While open, what is decoded for a cache in a folder passes through `watch`, one by one.

    It is made where examples are first asked for, far below those who can tell a person of it.
    """
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


@dataclass(frozen=True)
class SpeechCache:
    """Utterances end to end in `samples` (int16), each scaled to its own peak.

    `kept` are positions in the list that the cache was made from: bad utterances are left out.
    """

    samples: np.ndarray
    kept: np.ndarray
    starts: np.ndarray
    levels: np.ndarray

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process goes where the samples are, not they.
        given = self.samples, self.kept, self.starts, self.levels
        if isinstance(self.samples, np.memmap):
            return _reopened, (self.samples.filename, *given[1:])
        return SpeechCache, given

    def audio(self, index: int) -> np.ndarray:
        """Utterance `index` of those kept, (S,) int16; a view."""
        return self.samples[self.starts[index] : self.starts[index + 1]]

    def length(self, index: int) -> int:
        """Of utterance `index`, in samples."""
        return int(self.starts[index + 1] - self.starts[index])

    def level(self, index: int, start: int = 0, samples: int | None = None) -> float:
        """RMS of so many samples of utterance `index` from `start` on, or of all."""
        if samples is None:
            return float(self.levels[index])
        return float(rms(self.audio(index)[start : start + samples]))

    def peak(self, index: int) -> int:
        """The sample where utterance `index` is loudest."""
        return int(np.argmax(np.abs(self.audio(index).astype(np.int32))))


def open_cache(
    utterances: Sequence[Utterance],
    sample_rate: int,
    folder: Path | None,
    *,
    report: Report | None = None,
) -> SpeechCache:
    """Open the cache of these utterances in `folder`, made first where it is not there.

    Without a folder it is kept in memory. Bad utterances are told to `report` and left out, each
    time anew. InputError: no good utterance, or `folder` cannot be written.
    """
    if folder is None:
        data = streams.BytesIO()
        index = _decode_all(utterances, sample_rate, data.write, report)
        return _assemble(np.frombuffer(data.getbuffer(), np.int16), index)
    stem = folder / f"speech{_VERSION}-{sample_rate}-{fingerprint(utterances)}"
    ready = _load(stem, len(utterances))
    if ready is None:
        _build(stem, utterances, sample_rate, report)
        ready = _load(stem, len(utterances))
    elif report:
        for position in sorted(set(range(len(utterances))) - set(ready.kept.tolist())):
            where = utterances[position].path
            report(InputError(f"{where} could not be used when {stem}.npy was made"))
    if ready is None:
        raise InputError(f"cannot read back the speech cache {stem}.npy: remove it and try again")
    return ready


def _decode_all(
    utterances: Sequence[Utterance],
    sample_rate: int,
    write: Callable[[bytes], object],
    report: Report | None,
    path: Path | None = None,
) -> dict[str, list]:
    def work(utterance: Utterance) -> tuple[np.ndarray, float] | InputError:
        try:
            audio = decode(utterance.path, sample_rate)
            check_length(utterance, len(audio) / sample_rate)
        except InputError as error:
            return error
        steps = np.rint(audio * (_FULL / np.max(np.abs(audio)))).astype(np.int16)
        return steps, float(rms(steps.astype(np.float32)))

    index: dict[str, list] = {"kept": [], "lengths": [], "levels": []}
    results: Iterable[Any] = in_threads(work, utterances, default_workers())
    if path is not None and (watch := _watch.get()) is not None:
        seconds = sum(utterance.seconds for utterance in utterances)
        results = watch(results, Making(path, len(utterances), seconds, sample_rate))
    for position, result in enumerate(results):
        if isinstance(result, InputError):
            if report:
                report(result)
        else:
            steps, level = result
            write(steps.tobytes())
            index["kept"].append(position)
            index["lengths"].append(len(steps))
            index["levels"].append(level)
    if not index["kept"]:
        raise InputError(f"none of the {len(utterances)} utterances could be read")
    return index


def _build(
    stem: Path,
    utterances: Sequence[Utterance],
    sample_rate: int,
    report: Report | None,
) -> None:
    make_folder(stem.parent)
    with replacing(Path(f"{stem}.npy")) as temporary, temporary.open("wb") as file:
        room = len(_header(0))
        file.write(bytes(room))
        index = _decode_all(utterances, sample_rate, file.write, report, Path(f"{stem}.npy"))
        head = _header(sum(index["lengths"]))
        if len(head) != room:
            raise RuntimeError("numpy's header changed its size")
        file.seek(0)
        file.write(head)
    # The index comes last: where it stands, the samples are whole.
    write_text(Path(f"{stem}.json"), json.dumps(index))


def _header(samples: int) -> bytes:
    file = streams.BytesIO()
    description = {"descr": "<i2", "fortran_order": False, "shape": (samples,)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


def _load(stem: Path, utterances: int) -> SpeechCache | None:
    try:
        index = json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))
        samples = _mapped(f"{stem}.npy")
        cache = _assemble(samples, index)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    whole = cache.starts[-1] == len(samples) and max(index["kept"], default=-1) < utterances
    return cache if whole else None


def _assemble(samples: np.ndarray, index: dict[str, list]) -> SpeechCache:
    starts = np.concatenate([[0], np.cumsum(index["lengths"], dtype=np.int64)])
    return SpeechCache(samples, np.asarray(index["kept"]), starts, np.asarray(index["levels"]))


def _mapped(path: str | Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


def _reopened(path: str, *index: np.ndarray) -> SpeechCache:
    return SpeechCache(_mapped(path), *index)
