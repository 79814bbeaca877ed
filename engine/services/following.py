"""An execution as it goes on: what its steps print, how they stand, and its end."""

from collections.abc import Iterator, Sequence

from engine.domain.execution import FINAL, StepState
from engine.domain.runs import StepRun
from engine.domain.values import ExecutionId, JsonObject
from engine.errors import NotFound
from engine.services import views
from engine.services.platform import Platform
from engine.store import executions, leavings, steps

_MOST_TEXT = 60_000
"""Characters in one piece of news."""
_Place = tuple[int, int]


class ExecutionFollower:
    """Remembers what it has told: `look` gives what is new since, the whole execution at first.

    News are `step` (a step stands otherwise), `log` (whole lines of one step) and, as the last one, `end`.
    """

    def __init__(self, platform: Platform, execution_id: ExecutionId) -> None:
        self.ended = False
        self._platform = platform
        self._id = execution_id
        self._steps: dict[_Place, StepRun] = {}
        self._chunks: dict[_Place, int] = {}
        self._whole: set[_Place] = set()

    def look(self) -> Sequence[JsonObject]:
        """Raises NotFound."""
        with self._platform.store.read() as tx:
            # In this order: what ends an execution or a step is committed with the rest of its log, or after it.
            execution = executions.get(tx, self._id)
            if execution is None:
                raise NotFound("execution", self._id, hint="`/api/workflows` lists the newest.")
            runs = [run for run in steps.standing(tx, self._id) if _place(run) not in self._whole]
            read = {_place(run): self._chunks.get(_place(run), 0) for run in runs}
            printed = leavings.logs_behind(tx, self._id, read)
        news = [told for run in runs for told in self._of_step(run, printed.get(_place(run), []))]
        self.ended = execution.state in FINAL
        if self.ended:
            shown = views.execution(execution)
            news.append({"type": "end", "status": shown["status"], "execution": shown})
        return news

    def _of_step(self, run: StepRun, printed: Sequence[tuple[int, str]]) -> Iterator[JsonObject]:
        place, over = _place(run), run.state not in {StepState.RUNNING, StepState.WAITING}
        moved = self._steps.get(place) != run
        told: JsonObject = {"type": "step", **views.step(run)}
        del told["outputs"]
        if moved and not over:
            yield told
        about: JsonObject = {"step_number": run.position + 1, "step_name": run.name, "attempt": run.attempt}
        for chunk, text in printed:
            for piece in _pieces(text):
                yield {"type": "log", **about, "text": piece}
            self._chunks[place] = chunk
        if moved and over:
            yield told
        self._steps[place] = run
        if over:
            self._whole.add(place)
            del self._steps[place]


def _place(run: StepRun) -> _Place:
    return run.position, run.attempt


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of whole lines, as far as these are not longer than a piece."""
    while len(text) > _MOST_TEXT:
        cut = text.rfind("\n", 0, _MOST_TEXT) + 1 or _MOST_TEXT
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text
