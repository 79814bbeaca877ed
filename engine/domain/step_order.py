"""What each step of a workflow waits for: `needs`, or the earlier `dependsOn`, `parallel` and `parallelGroup`."""

from collections.abc import Sequence

from engine.domain.reading import Reading, did_you_mean
from engine.domain.yaml_source import Path

NEEDS = frozenset({"needs", "dependsOn", "parallel", "parallelGroup"})


def needs_of(reading: Reading, path: Path, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Step → the steps it needs.

    A step without a list of its own follows the one before. Neighbours with `parallel: true`, or with the same
    `parallelGroup`, start together, and the step after them follows them all.
    """
    needs: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()  # what a step that stands alone follows
    band: list[str] = []
    band_key: str = ""
    finished: set[str] = set()
    for index, name in enumerate(names):
        at = (*path, index)
        key = _band(reading, at)
        if not key or key != band_key:
            before = tuple(band)
            finished.add(band_key)
            band, band_key = [], key
            if key.startswith("group") and key in finished:
                fix = "Put the steps of one group next to each other."
                reading.error((*at, "parallelGroup"), f"The parallel {key} has ended before this step", fix)
        band.append(name)
        listed = _listed(reading, at, names)
        needs[name] = before if listed is None else listed
    return needs


def _band(reading: Reading, at: Path) -> str:
    group = reading.value((*at, "parallelGroup"))
    if group is not None:
        if not isinstance(group, int | str) or isinstance(group, bool):
            reading.error((*at, "parallelGroup"), "`parallelGroup` must be a number", "Write `parallelGroup: 1`.")
        return f"group {group}"
    return "neighbours" if reading.boolean((*at, "parallel")) else ""


def _listed(reading: Reading, at: Path, names: Sequence[str]) -> tuple[str, ...] | None:
    step = reading.value(at)
    if not isinstance(step, dict):
        return None
    if "needs" in step and "dependsOn" in step:
        reading.error((*at, "dependsOn"), "`dependsOn` stands beside `needs`", "Keep `needs`; it means the same.")
    key = "needs" if "needs" in step else "dependsOn"
    if step.get(key) is None:
        return None
    listed = reading.texts((*at, key))
    for name in listed:
        if name not in names:
            fix = did_you_mean(name, names, noun="Steps")
            reading.error((*at, key), f"There is no step `{name}`", fix, code="step_reference")
    return tuple(name for name in listed if name in names)
