"""One real worker in a process of its own, on a free port.

The whole product is more than its worker, but what an app sees of it is the worker alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policies.compiled import CompiledPolicies
from policies.compiled import to_json as policies_to_json
from proxy.policy_state import policies_file
from proxy.settings import Listen, ProviderSettings, Settings, StoreSettings, to_json

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def proxy_process(
    providers: tuple[ProviderSettings, ...], data_dir: Path, policies: CompiledPolicies | None = None
) -> Iterator[str]:
    """The base URL of a worker for these providers, under these policies, that runs until the block ends."""
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""),
        data_dir=data_dir,
        workers=1,
        providers=providers,
        shutdown_grace_s=0.5,
    )
    if policies is not None:
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        policies_file(settings).write_bytes(policies_to_json(policies))
    command = [sys.executable, "-m", "tests.fakes.proxy_child"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(to_json(settings) + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "the worker ended before it was ready; its reason stands in the captured stderr"
        try:
            yield f"http://127.0.0.1:{json.loads(line)['port']}"
        finally:
            process.stdin.close()
            try:
                status = process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert status == 0, "the worker did not end well"
