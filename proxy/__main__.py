"""The way in: `taximeter ...`, `python -m proxy ...`, and the processes that the supervisor starts."""

import sys


def main() -> None:
    """Run the command line, or one child process of a supervisor (`_child ROLE --slot N`, not for people)."""
    if sys.argv[1:2] == ["_child"]:
        sys.exit(_child(sys.argv[2:]))
    # Imported here: a child is no command line, and has no room for its libraries.
    from proxy.cli import app

    app(prog_name="taximeter")


def _child(arguments: list[str]) -> int:
    """One role until it is told to stop; the exit status."""
    role, _, slot = arguments
    if role == "worker":
        # structlog loads rich, when it is there, for colours that no log of ours has: 5 MB of every worker.
        sys.modules["rich"] = None  # type: ignore[assignment]
    # Imported here: after the line above, and not for the command line.
    from proxy.app import run_child
    from proxy.child import read_settings

    return run_child(role, read_settings(), int(slot))


if __name__ == "__main__":
    main()
