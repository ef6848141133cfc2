"""Every call, or every failed one, to a receiver of the operator's, as signed JSON.

What: POSTs of up to 100 calls each, in the order of the journal, signed with HMAC-SHA256 as the Standard Webhooks
convention has it. A message that was not taken is sent again, later and later, until it is, under the same
`webhook-id`: at least once, and who remembers the ids has it exactly once. What a receiver refuses for what is in it
(400, 413, 422) is counted as `refused_status_...` and not sent again.

Config: `sinks.webhooks.NAME` with `url` and `secret` (24 characters or more), `only` (`all` or `errors`), `timeout`,
`tls.ca_file`. The name is what the place in the journal is kept by.

Example: `sinks: {webhooks: {ops: {url: "https://hooks.example.com/x", secret: "env:HOOK_SECRET", only: errors}}}`

Source: the Standard Webhooks specification 1.0.0.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

from exporters.parts import Parts
from exporters.posting import Poster
from exporters.recorder.ports import Batch, PricedCall
from exporters.webhook.post import RefusedError, post_signed
from exporters.webhook.shape import event, message
from proxy.settings import Settings, WebhookSettings

CALLS_A_MESSAGE = 100


def webhook_sinks(settings: Settings) -> Iterator["WebhookSink"]:
    """One for each receiver that is configured."""
    return map(WebhookSink, settings.sinks.webhooks)


class WebhookSink:
    """One receiver."""

    def __init__(self, hook: WebhookSettings) -> None:
        self.name = f"webhook-{hook.name}"
        self._hook = hook
        self._poster = Poster(hook.hook_url, timeout_s=hook.timeout_s, ca_file=hook.tls_ca_file)
        self._parts = Parts()

    def check(self) -> None:
        """See that somebody listens there. Raises SinkUnavailableError."""
        self._poster.check()

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Send a batch in as many messages as it takes. Raises SinkUnavailableError."""
        calls = [priced for priced in batch.calls if self._wants(priced)]
        parts = (calls[first : first + CALLS_A_MESSAGE] for first in range(0, len(calls), CALLS_A_MESSAGE))
        message_id = hashlib.sha256(batch.token.encode()).hexdigest()[:32]
        counts = self._parts.send(batch.token, parts, lambda number, part: self._send(f"{message_id}-{number}", part))
        return +(counts + Counter(passed_over=len(batch.calls) - len(calls)))

    def close(self) -> None:
        """Let go of the connection."""
        self._poster.close()

    def _wants(self, priced: PricedCall) -> bool:
        return self._hook.only == "all" or priced.call.outcome != "ok"

    def _send(self, message_id: str, calls: list[PricedCall]) -> Counter[str]:
        try:
            post_signed(self._poster, message_id, message([event(priced) for priced in calls]), self._hook.secret)
        except RefusedError as error:
            return Counter({f"refused_{error.reason}": len(calls)})
        return Counter(messages=1, calls=len(calls))
