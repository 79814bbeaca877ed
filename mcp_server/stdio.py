"""MCP over this process's stdin and stdout."""

from mcp.server.mcpserver import MCPServer


def run_stdio(server: MCPServer[object]) -> None:
    """Serve one client until it closes stdin. Only protocol goes to stdout: what steps or libraries print goes to stderr."""
    server.run("stdio")
