"""MCP over this process's stdin and stdout."""

from mcp.server.mcpserver import MCPServer


def run_stdio(server: MCPServer[object]) -> None:
    """Serve one client until it closes stdin. Stdout carries the protocol only: what anything prints goes to stderr."""
    server.run("stdio")
