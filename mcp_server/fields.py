"""Arguments that several tools take."""

from typing import Annotated, Literal

from pydantic import Field

from mcp_server.house import LONGEST_WAIT

Wait = Annotated[int, Field(ge=0, le=LONGEST_WAIT)]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, Field(description="`next_cursor` of the answer before.")]
IdempotencyKey = Annotated[
    str, Field(description="Any unique text; repeat the call with the same one if its answer was lost.")
]
Logs = Annotated[Literal["none", "failed", "tail"], Field(description="Of failed steps, or the end of all.")]
