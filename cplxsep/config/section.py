"""What the sections of a configuration are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
