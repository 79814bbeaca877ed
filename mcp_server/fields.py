"""Arguments that several tools take."""

from typing import Annotated, Literal

from pydantic import Field

from mcp_server.house import LONGEST_WAIT
from mcp_server.statuses import Logs

Wait = Annotated[int, Field(ge=0, le=LONGEST_WAIT)]
Limit = Annotated[int, Field(ge=1, le=100)]
Search = Annotated[str, Field(description="Part of a name or description.")]
Cursor = Annotated[str, Field(description="`next_cursor` of the answer before.")]
IdempotencyKey = Annotated[
    str, Field(description="Any unique text; repeat the call with the same one if its answer was lost.")
]
LogsWanted = Annotated[Logs, Field(description="Of failed steps, or the end of all.")]
Detail = Literal["concise", "full"]
Part = Literal["outputs", "history", "graph", "why"]
PlanHash = Annotated[str, Field(description="Of the dry run that was agreed to.")]
