"""`taximeter sandbox`: the sandbox provider on its own."""

from typing import Annotated

import typer

from proxy.cli.command import command_app, fail, help_text

app = command_app()


@app.command(
    help=help_text(
        "Run the sandbox provider, for tests and first steps without a key.\n\n"
        "It speaks the OpenAI, Anthropic and MiniMax chat dialects, invents its answers, and says so in all of them.",
        "taximeter sandbox",
        "taximeter sandbox --port 9000 --seed 7",
        "curl http://127.0.0.1:8487/v1/chat/completions -H 'content-type: application/json' "
        '-d \'{"model": "any", "messages": [{"role": "user", "content": "hi"}]}\'',
    )
)
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8487,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers.")] = 0,
) -> None:
    """Serve the sandbox until a signal comes."""
    # Imported here: see proxy.cli.
    import asyncio
    import signal

    from proxy.sandbox.server import serve_sandbox

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve_sandbox(host, port, seed, stop, lambda got: typer.echo(f"sandbox ready on http://{host}:{got}"))

    try:
        asyncio.run(serve())
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror or error}")
