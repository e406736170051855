"""What `cplxsep eval` scores: a model's output, or files of estimates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cplxsep.cli import common
from cplxsep.errors import InputError, UsageError

if TYPE_CHECKING:
    from cplxsep.metrics.evaluation import Case, Cases
    from cplxsep.metrics.references import References

Metadata = Mapping[str, Mapping[str, str]]


class ModelCases:
    """Mixtures, separated by a model."""

    has_mixture = True

    def __init__(
        self,
        model: str,
        references: "References",
        metadata: Metadata,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """InputError, ModelError, DeviceError; UsageError if the number of sources differs."""
        from cplxsep.engine.separator import Separator

        if references.mixtures is None:
            raise InputError(f"{references.folder} has no mixtures for {model} to separate")
        self.names = references.names
        self._references, self._metadata = references, metadata
        self._separator = Separator.load(model, device=device, precision=precision)
        if self._separator.sources != references.sources:
            raise UsageError(
                f"{model} separates {self._separator.sources} sources, "
                f"but {references.folder} has {references.sources}"
            )

    def load(self, name: str) -> "Case":
        mixture, references, rate = self._references.load(name)
        assert mixture is not None
        return mixture, references, self._separator(mixture, rate), rate

    def metadata(self, name: str) -> Mapping[str, str]:
        return self._metadata.get(name, {})


class FileCases:
    """Files of estimates."""

    def __init__(self, references: "References", est: Path, metadata: Metadata) -> None:
        """InputError where the estimates are missing or none fits."""
        from cplxsep.metrics.pairs import PairFolders

        self._pairs = PairFolders(references, est)
        self._metadata = metadata
        self.names = references.names
        self.has_mixture = references.mixtures is not None
        if unused := self._pairs.unused():
            common.note(f"{est}: {unused} estimates have no reference and are left out")

    def load(self, name: str) -> "Case":
        return self._pairs.load(name)

    def metadata(self, name: str) -> Mapping[str, str]:
        return self._metadata.get(name, {})


class Listed:
    """Only the examples that a CSV file lists."""

    def __init__(self, cases: "Cases", names: Sequence[str]) -> None:
        self.names = list(names)
        self.has_mixture = cases.has_mixture
        self.load, self.metadata = cases.load, cases.metadata


def references(
    data: Path | None, split: str | None, ref: Path | None, mix: Path | None
) -> "References":
    """The references of a folder, or of prepared mixtures: a split's, or one that holds a split.

    InputError, UsageError: see References; also where several splits are there and none chosen.
    """
    from cplxsep.data.folders import split_folder
    from cplxsep.metrics.references import References

    if data is None:
        return References(ref or Path(), mix)
    folder = data.parent if is_list(data) else data
    folder = folder / split if split else folder
    if not (folder / "s1").is_dir() and not any(folder.glob("*_s1.*")):
        folder = split_folder(folder)
    return References(folder, mix)


def of_system(
    system: str,
    data: Path | None,
    references: "References",
    metadata: Metadata,
    **runtime: str,
) -> "Cases":
    """Examples of a model on `data`, or of a folder of estimates."""
    if data is None:
        return FileCases(references, Path(system), metadata)
    cases = ModelCases(system, references, metadata, **runtime)
    return Listed(cases, listed(data, cases.names)) if is_list(data) else cases


def read_metadata(references: "References", file: Path | None) -> Metadata:
    """Rows by name of a file, or of metadata.csv among the references; none without. InputError."""
    from cplxsep.data import folders

    if file is not None:
        if not file.is_file():
            raise InputError(f"--metadata {file} is no file")
        return folders.read_metadata(file)
    try:
        return folders.read_metadata(references.folder / folders.METADATA)
    except InputError as error:
        common.note(f"{error}: scored without it")
        return {}


def is_list(data: Path) -> bool:
    """Whether --data is a CSV file that lists mixtures."""
    return data.suffix.lower() == ".csv"


def listed(path: Path, known: Sequence[str]) -> list[str]:
    """Names in the column `name` of a CSV file beside the mixtures. InputError."""
    from cplxsep.data.table import read_table

    columns, rows = read_table(path)
    if not rows or "name" not in columns:
        raise InputError(f"{path} lists no mixtures: it needs a column name and a row for each")
    names = [row["name"] for _, row in rows]
    if missing := set(names).difference(known):
        raise InputError(f"{path} lists {min(missing, key=str)}, which {path.parent} does not have")
    return names
