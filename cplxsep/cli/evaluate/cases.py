"""What `cplxsep eval` scores: a model's output, or files of estimates."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cplxsep.cli import common
from cplxsep.errors import InputError, ModelError, UsageError
from cplxsep.parallel import Shard, Workers

if TYPE_CHECKING:
    from cplxsep.data.references import Cut, References
    from cplxsep.engine.separator import Separator
    from cplxsep.metrics.cases import Case, Cases

Metadata = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Data:
    """What systems are scored on: references by name, their metadata, whether lengths may differ.

    names: those to score. cut: where to note what was cut to the shortest, if that is allowed.
    """

    references: "References"
    metadata: Metadata
    names: list[str]
    cut: "Cut | None" = None

    def part(self, limit: int | None, shard: Shard) -> "Data":
        """The first so many, and of these a shard."""
        return replace(self, names=shard.take(self.names[:limit]))


class ModelCases:
    """Mixtures, separated by a model."""

    has_mixture = True

    def __init__(
        self, model: str, data: Data, engine: Mapping[str, Any], far: Mapping[str, Any] | None
    ) -> None:
        """`far`: the engine's options for workers of a cluster, None to separate here.

        InputError, ModelError, DeviceError; UsageError if the number of sources differs.
        """
        from cplxsep.model_folder import catalogue

        references = data.references
        if references.mixtures is None:
            raise InputError(f"{references.folder} has no mixtures for {model} to separate")
        self.names = data.names
        self._data = data
        # Here only what is heard on the page is separated, on whatever there is.
        self._engine = {**engine, "device": "auto"} if far else engine
        self._model, self._far = model, far
        # What is wrong with the model, or the device here, is to be known at once.
        described = catalogue.describe(catalogue.resolve(model)) if far else self._separator
        sources = described.sources
        if sources != references.sources:
            raise UsageError(
                f"{model} separates {sources} sources, "
                f"but {references.folder} has {references.sources}"
            )

    @cached_property
    def _separator(self) -> "Separator":
        from cplxsep.engine.separator import Separator

        return Separator.load(self._model, **self._engine)

    def __getstate__(self) -> dict[str, Any]:
        """For a worker, which loads the model itself."""
        state = {name: value for name, value in vars(self).items() if name != "_separator"}
        return state | {"_engine": self._far}

    def load(self, name: str) -> "Case":
        mixture, references, rate = self._data.references.load(name, self._data.cut)
        assert mixture is not None
        return mixture, references, self._separator(mixture, rate), rate

    def metadata(self, name: str) -> Mapping[str, str]:
        return self._data.metadata.get(name, {})


class FileCases:
    """Files of estimates."""

    def __init__(self, est: Path, data: Data) -> None:
        """InputError where the estimates are missing or none fits."""
        from cplxsep.data.estimates import EstimateFiles

        self._estimates = EstimateFiles(data.references, est)
        self._data = data
        self.names = data.names
        self.has_mixture = data.references.mixtures is not None
        self.shortest = self._estimates.shortest
        if unused := self._estimates.unused():
            common.note(f"{est}: {unused} estimates have no reference and are left out")

    def load(self, name: str) -> "Case":
        return self._estimates.load(name, self._data.cut)

    def metadata(self, name: str) -> Mapping[str, str]:
        return self._data.metadata.get(name, {})


def read_data(
    data: Path | None,
    split: str | None,
    ref: Path | None,
    mix: Path | None,
    metadata: Path | None,
    speakers: Path | None,
    cut: bool,
) -> Data:
    """What the options of the same names say. InputError, UsageError."""
    from cplxsep.data.references import Cut, listed
    from cplxsep.metrics.sexes import with_sexes

    found = references(data, split, ref, mix)
    rows = with_sexes(read_metadata(found, metadata), read_speakers(speakers) if speakers else {})
    names = found.names
    if data and is_list(data):
        names, again = listed(data)
        if again:
            common.note(f"{data} lists mixtures more than once ({again} rows): each is scored once")
        if missing := set(names).difference(found.names):
            name = min(missing, key=str)
            raise InputError(f"{data} lists {name}, which {data.parent} does not have")
    return Data(found, rows, names, Cut() if cut else None)


def read_speakers(path: Path) -> dict[str, str]:
    """Sex, M or F, by speaker, from a CSV with columns speaker and sex. InputError."""
    from cplxsep.data.table import read_table
    from cplxsep.metrics.sexes import known_sexes

    columns, rows = read_table(path)
    if not {"speaker", "sex"} <= set(columns):
        raise InputError(f"{path} tells of no speakers: it needs columns speaker and sex")
    return known_sexes(row for _, row in rows)


def references(
    data: Path | None, split: str | None, ref: Path | None, mix: Path | None
) -> "References":
    """The references of a folder, or of prepared mixtures: a split's, or one that holds a split.

    InputError, UsageError: see References; also where several splits are there and none chosen.
    """
    from cplxsep.data.references import References, of_prepared

    if data is None:
        return References(ref or Path(), mix)
    folder = data.parent if is_list(data) else data
    return of_prepared(folder / split if split else folder, mix)


def of_system(
    system: str, data: Data, engine: Mapping[str, Any], far: Mapping[str, Any] | None
) -> "Cases":
    """Examples of a side of --compare: a model, run with these options, or estimates."""
    if is_estimates(system):
        files = FileCases(Path(system), data)
        if data.cut is not None:
            data.cut.others.append(files.shortest)
        return files
    try:
        return ModelCases(system, data, engine, far)
    except ModelError as error:
        if Path(system).exists():
            raise
        raise ModelError(f"{error} or one of estimates") from None


def is_estimates(system: str) -> bool:
    """Whether a system is a folder of estimates: one that holds no model."""
    from cplxsep.model_folder import catalogue
    from cplxsep.model_folder.contents import CONFIG, WEIGHTS

    folder = Path(system)
    if catalogue.shipped(system) is not None or not folder.is_dir():
        return False
    files = [place / name for place in (folder, folder / "model") for name in (CONFIG, WEIGHTS)]
    return not any(file.exists() for file in files)


def read_metadata(references: "References", file: Path | None) -> Metadata:
    """Rows by name of a file, or of metadata.csv among the references; none without. InputError."""
    from cplxsep.data import layout

    if file is not None:
        if not file.is_file():
            raise InputError(f"--metadata {file} is no file")
        rows, names = layout.read_metadata(file), references.names
        if not any(name in rows for name in names):
            first = f"its first is {next(iter(rows))}" if rows else "it has none"
            raise InputError(f"--metadata {file} has no row for any, such as {names[0]}; {first}")
        return rows
    try:
        return layout.read_metadata(references.folder / layout.METADATA)
    except InputError as error:
        common.note(f"{error}: scored without it")
        return {}


def is_list(data: Path) -> bool:
    """Whether --data is a CSV file that lists mixtures."""
    return data.suffix.lower() == ".csv"


@contextmanager
def scorers(
    cluster: str | None, workers: int | None, engine: Mapping[str, Any], model: bool
) -> "Iterator[tuple[Workers | None, Mapping[str, Any] | None]]":
    """Who scores, and with which options models run there, None for here.

    model: whether one has to be run. UsageError, DeviceError: there are no such workers.
    """
    from cplxsep.cli.cluster import workers_for, workers_for_model

    if cluster is None or not model:
        with workers_for(cluster, workers) as hands:
            yield hands, None
        return
    with workers_for_model(cluster, workers, engine.get("device", "auto")) as (hands, device):
        yield hands, {**engine, "device": device}
