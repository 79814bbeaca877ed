"""The bundle for Claude Desktop: its manifest is true of the code, and the code in it runs."""

import json
import re
import sys
from pathlib import Path

import pytest
from anyio import to_thread
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from desktop import bundle
from engine.config import Settings
from mcp_server.toolsets import TOOLS, Toolset


def test_the_manifest_declares_what_it_asks_for_and_hides_the_token() -> None:
    made = bundle.manifest()
    config, asked = made["server"]["mcp_config"], made["user_config"]
    used = set(re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(config)))
    assert used == set(asked)
    assert asked["token"]["sensitive"] is True
    assert not any(option["required"] for option in asked.values())
    assert [tool["name"] for tool in made["tools"]] == [
        name for name, kind in TOOLS.items() if kind.toolset is Toolset.CORE
    ]


def test_its_environment_is_made_of_settings_and_of_what_the_program_reads() -> None:
    names = {f"INNOMINATUS_{field.upper()}" for field in Settings.model_fields}
    assert set(bundle.manifest()["server"]["mcp_config"]["env"]) <= {
        *names,
        "INNOMINATUS_API_BASE",
        "INNOMINATUS_API_KEY",
    }


def test_a_setting_that_is_left_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INNOMINATUS_DATA_DIR", raising=False)
    plain = Settings()
    for name in ("DATA_DIR", "MCP_READ_ONLY", "MCP_TOOLSETS", "PORT"):
        monkeypatch.setenv(f"INNOMINATUS_{name}", "")
    assert Settings() == plain


@pytest.mark.anyio
async def test_what_is_in_it_starts_and_answers(tmp_path: Path) -> None:
    await to_thread.run_sync(bundle.stage, tmp_path)
    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "cli.server", "mcp"],
        env={"INNOMINATUS_DATA_DIR": str(tmp_path / "data"), "INNOMINATUS_API_BASE": "", "INNOMINATUS_API_KEY": ""},
        cwd=tmp_path,
    )
    async with Client(program) as client:
        tools = (await client.list_tools()).tools
        answer = await client.call_tool("list_providers", {})
    assert [tool.name for tool in tools] == [name for name, kind in TOOLS.items() if kind.toolset is Toolset.CORE]
    assert "local-team" in str(answer.content)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
