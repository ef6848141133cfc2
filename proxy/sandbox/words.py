"""The sandbox's words and its token rule: everything it says is drawn from here, and counted from here.

Token rule, stated in full because no tokenizer is involved: the marker `[sandbox]` is one token, a run of word
characters with the one space before it is one token, every other character is one token. The pieces of a text joined
together are the text. The figures are simulated, like the answers.
"""

import hashlib
import random
import re
from collections.abc import Iterable
from typing import Any

MARKER = "[sandbox]"
"""Begins every text the sandbox invents, so that nobody takes one for a model's."""

NOTICE_HEADER = "x-sandbox"
NOTICE = "simulated answer, no model was asked"
"""The header, and its value, on every answer. It is no `x-taximeter-*` because the proxy passes none of those on."""

MEDIA_TOKENS = 85
"""What one picture, sound or file in a prompt counts."""
MESSAGE_TOKENS = 4
"""What one message of a prompt counts beside its texts."""

_PIECE = re.compile(r"\[sandbox\]| ?\w+|[^\w]")
_MEDIA_TYPES = ("image", "image_url", "video", "video_url", "input_audio", "file", "document")
_WORDS = """
amber avenue baker bench bridge bright bus cab calm canal cargo central chapel clear clock corner courier cross
dawn depot driver early east engine evening fare ferry fountain garden gate gentle green harbour heavy hill
hotel journey kerb lamp lane lantern late light long lunch map market meadow meter midnight mirror misty morning
museum narrow night north old orange park passenger pavement platform plaza quay quick quiet rain receipt red
ring river road roof round school short signal silver slow snow south square station steady stop street sunny
taxi theatre ticket tower traffic tram turn umbrella uphill valley village wait wheel white wide window winter
yellow
""".split()  # noqa: SIM905 - a word a line would drown the file


class Draw:
    """A source of choices that depends on its key alone: the same key draws the same things in the same order."""

    def __init__(self, *key: str | bytes | int) -> None:
        parts = (part if isinstance(part, bytes) else str(part).encode() for part in key)
        self._digest = hashlib.sha256(b"\x00".join(parts)).digest()
        # Repeatability is wanted here, not secrecy.
        self._random = random.Random(self._digest)  # noqa: S311

    def fork(self, *key: str | int) -> "Draw":
        """Another source, independent of how much this one has drawn already."""
        return Draw(self._digest, *key)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return self._random.randint(low, high)

    def hex(self, digits: int) -> str:
        """That many lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def word(self) -> str:
        """One word of the list."""
        return self._random.choice(_WORDS)

    def sentence(self) -> str:
        """Four to nine words of the list, begun with a capital and ended with a full stop."""
        words = [self.word() for _ in range(self.between(4, 9))]
        return " ".join(words).capitalize() + "."


def split(text: str) -> list[str]:
    """The tokens of a text, in order; joined they are the text."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """How many tokens a text is."""
    return sum(1 for _ in _PIECE.finditer(text))


def speak(draw: Draw, tokens: int, opening: str) -> list[str]:
    """That many tokens of invented text, which begins with the marker and then `opening` as far as there is room.

    A longer text of the same draw begins with the shorter one.
    """
    pieces = split(f"{MARKER} {opening}")
    while len(pieces) < tokens:
        pieces += split(f" {draw.sentence()}")
    return pieces[:tokens]


def count_prompt(parts: Iterable[Any]) -> int:
    """The simulated prompt tokens of decoded JSON values (messages, system text, tools).

    Every string counts by the token rule, every object with a `role` four more, and a part that carries a picture, a
    sound or a file counts 85 whatever is in it.
    """
    total = 0
    waiting = list(parts)
    # A stack of our own: the nesting of foreign JSON must not become the depth of our calls.
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += count(value)
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if "role" in value:
                total += MESSAGE_TOKENS
            if value.get("type") in _MEDIA_TYPES:
                total += MEDIA_TOKENS
            else:
                waiting.extend(value.values())
    return total
