"""The providers that serve now, and the bundles of those that once did."""

import threading
from pathlib import Path

from engine.domain.provider import Operation, Provider, Registry, ResourceType
from engine.domain.workflow import Workflow
from engine.errors import Invalid, NotFound
from engine.providers import bundle
from engine.providers.loading import from_archive
from engine.store import bundles
from engine.store.database import Store
from engine.store.settling import WorkflowChoice


class ActiveProviders:
    """Answers by the active registry, and by digest for all that was ever active in this database. Thread safe."""

    def __init__(self, store: Store, registry: Registry, unpacked: Path) -> None:
        self._store = store
        self._unpacked = unpacked
        self._lock = threading.Lock()
        self._by_digest: dict[str, Provider] = {provider.digest: provider for provider in registry.providers}
        self._registry = registry

    @property
    def registry(self) -> Registry:
        return self._registry

    def choose(self, resource_type: str, operation: Operation, /, *, recorded: str = "") -> WorkflowChoice | None:
        """Which workflow performs an operation: of the provider that offers it now, else of the bundle `recorded`."""
        found = self.registry.resolve(resource_type)
        workflows = found[1].operations.get(operation) if found else None
        if (found is None or workflows is None) and recorded:
            found = self._recorded(resource_type, recorded)
            workflows = found[1].operations.get(operation) if found else None
        if found is None or workflows is None:
            return None
        return WorkflowChoice(found[0].name, found[0].digest, workflows.choose())

    def _recorded(self, resource_type: str, digest: str) -> tuple[Provider, ResourceType] | None:
        try:
            provider = self.provider(digest)
        except (NotFound, Invalid):
            return None
        kind = provider.resource_type(resource_type)
        return None if kind is None else (provider, kind)

    def provider(self, digest: str) -> Provider:
        """The provider with exactly this content, active or not. Raises NotFound."""
        with self._lock:
            known = self._by_digest.get(digest)
        if known is not None:
            return known
        known = from_archive(self._archive(digest))
        with self._lock:
            return self._by_digest.setdefault(digest, known)

    def workflow(self, digest: str, name: str) -> Workflow:
        """A workflow as it is in a bundle. Raises NotFound."""
        provider = self.provider(digest)
        found = provider.workflows.get(name)
        if found is None:
            raise NotFound("workflow", f"{provider.name}/{name}", known=provider.workflows)
        return found.definition

    def folder(self, digest: str) -> Path:
        """The bundle's files on this machine, unpacked on first use."""
        folder = self._unpacked / digest.replace(":", "-")
        return folder if folder.is_dir() else bundle.unpack(self._archive(digest), self._unpacked)

    def _archive(self, digest: str) -> bytes:
        with self._store.read_beside() as tx:
            archive = bundles.get(tx, digest)
        if archive is None:
            raise NotFound("provider bundle", digest)
        return archive
