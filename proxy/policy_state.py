"""How the policies of a data folder stand, as the supervisor last wrote it; for doctor, metrics and whoever asks."""

from pathlib import Path

import msgspec

from proxy.settings import Settings

STATE_NAME = "policies-state.json"


def policies_file(settings: Settings) -> Path:
    """Where the compiled policies lie."""
    return settings.run_dir / "policies.json"


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """How the policies stand, for doctor and metrics."""

    generation: int = 0
    """Counts up with each load that changed something, over all starts."""
    hash: str = ""
    files: tuple[str, ...] = ()
    budgets: int = 0
    limits: int = 0
    keys: int = 0
    """Virtual keys that are neither revoked nor disabled."""
    loaded_at_s: float = 0.0
    """Unix time."""
    error: str = ""
    """Why files or keys as they are now are not in force; empty when they are."""


def policy_state(settings: Settings) -> PolicyState | None:
    """How the policies of a Taximeter stand, or last stood; None when none has said."""
    try:
        return msgspec.json.decode((settings.run_dir / STATE_NAME).read_bytes(), type=PolicyState)
    except (OSError, msgspec.MsgspecError):
        return None
