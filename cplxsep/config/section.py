"""What the sections of a configuration are made of."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticCustomError

Channels = Annotated[int, Field(ge=2, multiple_of=2)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[int, Field(gt=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A section of the configuration; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, allow: ValidatorFunctionWrapHandler) -> Any:
        """Refuse true and false where a number belongs, which pydantic takes for 1 and 0."""
        found = allow(value)
        if _has_truth(value) and not _has_truth(found):
            raise PydanticCustomError("float_type", "must be a number")
        return found


def _has_truth(value: Any) -> bool:
    return any(isinstance(one, bool) for one in (value if isinstance(value, list) else [value]))
