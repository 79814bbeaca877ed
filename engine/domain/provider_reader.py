"""A provider's files into a domain value: manifest, capabilities and workflows, each problem with file and line."""

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from engine.domain import workflow_reader
from engine.domain.capability_reader import Listed, read_resource_types
from engine.domain.parameter_reader import NAME
from engine.domain.provider import Operation, Provider, ProviderWorkflow, WorkflowCategory
from engine.domain.reading import Reading, did_you_mean
from engine.domain.workflow import Workflow
from engine.domain.workflow_reader import CheckConfig
from engine.domain.yaml_source import Path, load, shortened
from engine.errors import Problem, Severity

MANIFEST = "provider.yaml"
API_VERSIONS = ("v1", "innominatus.io/v1")
CORE_VERSION = "1.0.0"
"""The version of the workflow and provider language, which `compatibility` refers to."""

_DOCUMENT = frozenset({"apiVersion", "kind", "metadata", "capabilities", "compatibility", "workflows"})
_METADATA = frozenset({"name", "version", "category", "description", "author", "team", "owner", "labels", "tags"})
_WORKFLOW = frozenset({"name", "file", "description", "category", "operation", "version", "tags"})
_VERSION = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:[-+][0-9A-Za-z.+-]*)?")


def read(
    files: Mapping[str, bytes],
    *,
    digest: str,
    folder: str = "",
    check_config: CheckConfig | None = None,
    step_types: Collection[str] | None = None,
    core_version: str = CORE_VERSION,
) -> tuple[Provider | None, tuple[Problem, ...]]:
    """The provider in `files` (path below its folder → content) and what is wrong with it.

    The provider is None exactly when a problem is an error. `folder` stands before file names in problems.
    """
    return _Reader(files, digest, folder, check_config, step_types).read(core_version)


class _Reader:
    def __init__(
        self,
        files: Mapping[str, bytes],
        digest: str,
        folder: str,
        check_config: CheckConfig | None,
        step_types: Collection[str] | None,
    ) -> None:
        self.files, self.digest, self.folder = files, digest, folder
        self.check_config, self.step_types = check_config, step_types
        self.others: list[Problem] = []
        """Problems of the workflow files."""

    def read(self, core_version: str) -> tuple[Provider | None, tuple[Problem, ...]]:
        name = next((name for name in (MANIFEST, "provider.yml") if name in self.files), None)
        file = posixpath.join(self.folder, name or MANIFEST)
        if name is None:
            fix = f"Add `{MANIFEST}` to the provider's folder."
            return None, (Problem("no_manifest", "", "The folder holds no manifest", fix, file=file),)
        self.reading = Reading(load(self.files[name], file=file), noun="provider")
        provider = self._provider(core_version) if self.reading.source.value is not None else None
        if provider is None and not self.reading.failed:
            self.reading.error((), "The manifest is empty", "Write `apiVersion: v1`, `kind: Provider`, `metadata`.")
        problems = (*self.reading.problems, *self.others)
        failed = any(problem.severity is Severity.ERROR for problem in problems)
        return (None if failed else provider), problems

    def _provider(self, core_version: str) -> Provider | None:
        reading = self.reading
        root = reading.mapping((), known=_DOCUMENT, required=("apiVersion", "kind", "metadata"))
        if not root:
            return None
        self._header()
        self._compatibility(core_version)
        listed, workflows = self._workflows(("workflows",))
        types = read_resource_types(reading, ("capabilities",), listed)
        if not types and not listed:
            reading.error((), "The provider offers nothing", "List `workflows`, and `capabilities` for resource types.")
        return Provider(
            name=reading.text(("metadata", "name")),
            version=reading.text(("metadata", "version"), "0.0.0"),
            digest=self.digest,
            category=reading.text(("metadata", "category"), "infrastructure"),
            description=reading.text(("metadata", "description")),
            resource_types=types,
            workflows=workflows,
        )

    def _header(self) -> None:
        reading = self.reading
        for key, accepted in (("apiVersion", API_VERSIONS), ("kind", ("Provider",))):
            value = reading.text((key,))
            if value and value not in accepted:
                fix = f"Write `{key}: {accepted[0]}`."
                reading.error((key,), f"The {key} `{shortened(value)}` is not known", fix, code="api_version")
        reading.mapping(("metadata",), known=_METADATA, required=("name", "version"))
        name = reading.text(("metadata", "name"))
        if name and not NAME.fullmatch(name):
            fix = "Use letters, digits, `-` and `_`; start with a letter."
            reading.error(("metadata", "name"), f"`{shortened(name)}` cannot be the name of a provider", fix)
        version = reading.text(("metadata", "version"))
        if version and not _VERSION.fullmatch(version):
            reading.error(("metadata", "version"), f"`{shortened(version)}` is no version", "Write it as `1.0.0`.")

    def _compatibility(self, core_version: str) -> None:
        """Versions from `minCoreVersion` to `maxCoreVersion`, both included."""
        reading, path = self.reading, ("compatibility",)
        reading.mapping(path, known={"minCoreVersion", "maxCoreVersion"})
        core = _version(core_version)
        for key in ("minCoreVersion", "maxCoreVersion"):
            text = reading.text((*path, key))
            bound = _version(text) if text else None
            if text and bound is None:
                reading.error((*path, key), f"`{shortened(text)}` is no version", "Write it as `1.0.0`.")
            if bound is None or core is None:
                continue
            if (core < bound) if key == "minCoreVersion" else (core > bound):
                word, way = ("newer", "at least") if key == "minCoreVersion" else ("older", "at most")
                message = f"The provider needs core version {way} {text}; this one is {core_version}"
                fix = f"Use a platform that is {word}, or change `{key}`."
                reading.error((*path, key), message, fix, code="core_version")

    def _workflows(self, path: Path) -> tuple[dict[str, Listed], dict[str, ProviderWorkflow]]:
        reading = self.reading
        listed: dict[str, Listed] = {}
        workflows: dict[str, ProviderWorkflow] = {}
        used: dict[str, str] = {}
        for index in range(len(reading.items(path))):
            at = (*path, index)
            reading.mapping(at, known=_WORKFLOW, required=("name", "file"))
            name, file = reading.text((*at, "name")), _cleaned(reading.text((*at, "file")))
            if not name:
                continue
            if name in listed:
                line = reading.source.place((*path, listed[name].index, "name"))[0]
                fix = "Give each workflow a name of its own."
                reading.error((*at, "name"), f"The workflow `{name}` is already on line {line}", fix, code="duplicate")
                continue
            if file and file in used:
                fix = "List each file once."
                reading.error((*at, "file"), f"`{file}` is already `{used[file]}`", fix, code="duplicate")
            used[file] = name
            listed[name] = self._listed(at, index)
            definition = self._definition(at, name, file)
            if definition is not None:
                workflows[name] = _workflow(reading, at, definition, file, listed[name])
        return listed, workflows

    def _listed(self, at: Path, index: int) -> Listed:
        reading = self.reading
        operation: Operation | None = None
        if reading.value((*at, "operation")) is not None:
            operation = reading.choice((*at, "operation"), Operation, Operation.CREATE)
        category = reading.choice((*at, "category"), WorkflowCategory, WorkflowCategory.PROVISIONER)
        if operation and category is WorkflowCategory.GOLDEN_PATH:
            fix = "Leave `operation` out, or make it a `provisioner`."
            reading.error((*at, "operation"), "A golden path performs no operation on a resource", fix)
        return Listed(index, category, operation, frozenset(reading.texts((*at, "tags"))))

    def _definition(self, at: Path, name: str, file: str) -> Workflow | None:
        if not file:
            return None
        content = self.files.get(file)
        if content is None:
            written = self.reading.text((*at, "file"))
            outside = file.startswith(("/", "../")) or file == ".." or "\\" in file
            message = f"`{shortened(written)}` " + (
                "is outside of the provider's folder" if outside else "is no file of it"
            )
            fix = "Write a path below the folder." if outside else did_you_mean(file, self.files, noun="Files")
            self.reading.error((*at, "file"), message, fix, code="no_file")
            return None
        place = posixpath.join(self.folder, file)
        definition, problems = workflow_reader.read(
            content, file=place, check_config=self.check_config, step_types=self.step_types
        )
        self.others.extend(problems)
        if definition is not None and definition.name != name:
            message = f"The workflow is called `{definition.name}` here, and `{name}` in the manifest"
            self.others.append(Problem("workflow_name", "metadata.name", message, f"Write `name: {name}`.", file=place))
        return definition


def _workflow(reading: Reading, at: Path, definition: Workflow, file: str, listed: Listed) -> ProviderWorkflow:
    description = reading.text((*at, "description")) or definition.description
    return ProviderWorkflow(
        definition=replace(definition, description=definition.description or description),
        file=file,
        category=listed.category,
        operation=listed.operation,
        tags=listed.tags,
        description=description,
    )


def _cleaned(file: str) -> str:
    return posixpath.normpath(file) if file else ""


def _version(text: str) -> tuple[int, int, int] | None:
    found = _VERSION.fullmatch(text)
    return (int(found[1]), int(found[2] or 0), int(found[3] or 0)) if found else None
