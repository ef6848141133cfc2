"""The most that a call uses of what is not counted in tokens: characters, pictures, clips, songs, seconds. PURE.

Read off the request's body, before anybody has worked on it. One reader for each operation (`READERS`); what it gives
is an upper bound by construction:

- a length that is not stated is not known, a resolution that is not stated is the dearest one that has a price;
- a name that stands twice in a body, or in another spelling, may be read otherwise by the provider: then the body's
  length bounds its characters, and nothing else is bounded;
- what an operation cannot use is zero, what nobody can tell is named in `Inputs.unknown_units`.

Names of units may hold a `*`: one clip at a resolution that is not stated is one `videos_*_6s`, and holds the dearest
price that fits.

Source: the provider fact sheets. Of a Chinese character MiniMax bills two, so every character beyond ASCII counts as
two; where the rule is one for each character that is more than is billed. `asr-1.0` takes 500 s of sound at the most.
The length of sound in a file does not follow from its size: silence packs to nothing.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from policies.facts import Inputs
from policies.inputs import search
from proxy.core.facts import RequestFacts

FORM = "multipart/form-data"
_LONGEST_SOUND_S = {"asr-1.0": 500}
_LONGEST_NAME_CHARS = 256
_MOST = 10_000
"""No call asks for more pictures or seconds; a larger figure is nobody's."""
_NUMBER = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?", re.ASCII)
_RESOLUTION = re.compile(r"[0-9]{1,5}[pk]", re.ASCII)
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PART = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="([^"\r\n]{1,64})"([^\r\n]*)', re.IGNORECASE)
_CLIP_MEMBERS = frozenset(
    {
        *("model", "prompt", "duration", "seconds", "resolution", "size", "prompt_optimizer", "fast_pretreatment"),
        *("callback_url", "aigc_watermark", "first_frame_image", "last_frame_image", "seed", "ratio", "aspect_ratio"),
    }
)
"""What a request for a clip can hold beside pictures and clips to work on."""
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
_CHARACTERS = "characters"
_NOTHING: dict[str, Decimal] = {}


class Reading(msgspec.Struct, frozen=True):
    """What the body of an operation without a dialect says."""

    request: RequestFacts
    inputs: Inputs | None
    """None where it could not be read, and bounds nothing."""


class _Body:
    """The members of a body, and whether they are certainly what the provider reads."""

    __slots__ = ("certain", "length", "members")

    def __init__(self, members: Mapping[str, Any], length: int, *, certain: bool) -> None:
        self.members = members
        self.length = length
        self.certain = certain

    def text(self, name: str) -> str:
        value = self.members.get(name)
        return value if isinstance(value, str) and self.certain else ""

    def number(self, name: str) -> Decimal | None:
        """A positive number, also where it is written as text; None for anything else."""
        value = self.members.get(name)
        if not self.certain or isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        text = str(value)
        return Decimal(text) if _NUMBER.fullmatch(text) and 0 < Decimal(text) <= _MOST else None

    def characters(self, *names: str) -> Decimal:
        """Of these texts; of the whole body where they are not certain, or no texts."""
        values = [value for name in names if (value := self.members.get(name)) is not None]
        if not self.certain or not all(isinstance(value, str) for value in values):
            return Decimal(self.length)
        return Decimal(sum(_weight(value) for value in values))


_Counted = tuple[dict[str, Decimal], tuple[str, ...]]
"""Units, and those that nobody can tell."""


def _weight(text: str) -> int:
    return 2 * len(text) - sum(map(str.isascii, text)) if not text.isascii() else len(text)


def _speech(body: _Body) -> _Counted:
    if any(name.lower() == "text_file_id" for name in body.members):
        return _NOTHING, (_CHARACTERS,)
    return {_CHARACTERS: body.characters("text", "input")}, ()


def _voice(body: _Body) -> _Counted:
    return {"voices_created": Decimal(1), _CHARACTERS: body.characters("text", "prompt", "preview_text")}, ()


def _image(body: _Body) -> _Counted:
    images = Decimal(1) if body.certain and body.members.get("n") is None else body.number("n")
    return (_NOTHING, ("images",)) if images is None else ({"images": images}, ())


def _video(body: _Body) -> _Counted:
    seconds = body.number("duration") or body.number("seconds")
    stated = body.text("resolution").lower()
    resolution = stated if _RESOLUTION.fullmatch(stated) else "*"
    length = f"{seconds.normalize():f}" if seconds is not None else "*"
    units = {f"videos_{resolution}_{length}s": Decimal(1)}
    unknown: tuple[str, ...] = ()
    if seconds is None:
        unknown += ("video_seconds*",)
    else:
        units |= {"video_seconds": seconds, f"video_seconds_{resolution}": seconds}
    if body.certain and body.members.keys() <= _CLIP_MEMBERS:
        units["input_images"] = Decimal(sum(name.endswith("_frame_image") for name in body.members))
    else:
        # What it brings along may be billed by the second or by the piece.
        unknown += ("input_*", "regenerated_*")
    return units, unknown


def _song(_body: _Body) -> _Counted:
    return {"songs": Decimal(1)}, ()


def _transcription(body: _Body) -> _Counted:
    longest_s = _LONGEST_SOUND_S.get(body.text("model"))
    return (_NOTHING, ("audio_seconds",)) if longest_s is None else ({"audio_seconds": Decimal(longest_s)}, ())


def _nothing(_body: _Body) -> _Counted:
    return _NOTHING, ()


READERS: dict[str, Callable[[_Body], _Counted]] = {
    "speech": _speech,
    "voice_clone": _voice,
    "voice_design": _voice,
    "image": _image,
    "video": _video,
    "music": _song,
    "lyrics": _nothing,
    "embeddings": _nothing,
    "rerank": _nothing,
    "moderation": _nothing,
    "transcription": _transcription,
    "plan.search": _nothing,
    "plan.vlm": _nothing,
}
"""Operation -> what its body says."""
_OF_A_FORM = frozenset({"transcription"})
"""Operations whose bounds a form can state: its texts stand in it as they do in JSON."""


def read_units(operation: str, body: bytes, content_type: str = "") -> Reading | None:
    """What the decoded body of an operation holds; never raises.

    Args:
        operation: As the route says it.
        body: JSON, or a form.
        content_type: Whole value of the header.

    Gives None for an operation that has no reader.
    """
    reader = READERS.get(operation)
    if reader is None:
        return None
    is_form = content_type.lower().startswith(FORM)
    found = _form(body, content_type) if is_form else _json(body)
    if found is None:
        return Reading(RequestFacts(), None)
    model = found.text("model")
    request = RequestFacts(
        model=model if 0 < len(model) <= _LONGEST_NAME_CHARS else None,
        streaming=found.members.get("stream") is True,
    )
    if is_form and operation not in _OF_A_FORM:
        return Reading(request, None)
    units, unknown = reader(found)
    held = Inputs(text_bytes=len(body), references="form") if is_form else search(body)
    if operation == "image" and (images := units.get("images")) is not None:
        request = replace(request, choices=int(images.to_integral_value(ROUND_CEILING)))
    return Reading(request, replace(held, units=units, unknown_units=unknown, counted=True))


def _json(body: bytes) -> _Body | None:
    try:
        members = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    plain = not _ESCAPED_ASCII.search(body) and all(body.count(b'"%b"' % name.encode()) == 1 for name in members)
    certain = (plain and len({name.lower() for name in members}) == len(members)) or _stand_once(body)
    return _Body(members, len(body), certain=certain and all(name == name.lower() for name in members))


def _stand_once(body: bytes) -> bool:
    """Whether no name of the outermost object stands twice; slower, and sure of it."""
    names: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        names[:] = [name.lower() for name, _ in pairs]

    try:
        json.loads(body, object_pairs_hook=note)  # the outermost object is the last to be complete
    except (ValueError, RecursionError):
        return False
    return len(set(names)) == len(names)


def _form(body: bytes, content_type: str) -> _Body | None:
    """The texts of a form; its files are left out."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return None
    members: dict[str, str] = {}
    certain = True
    for part in body.split(b"--" + (found[1] or found[2]).encode("latin-1", "replace"))[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        named = _PART.search(head)
        if named is None:
            return None
        name = named[1].decode("latin-1").lower()
        certain = certain and name not in members
        members[name] = (
            "" if b"filename" in named[2].lower() else value.removesuffix(b"\r\n").decode("utf-8", "replace")
        )
    return _Body(members, len(body), certain=certain)
