from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from proxy.config.problems import ConfigError
from proxy.core.pricing import price_usage
from proxy.core.usage import Usage
from proxy.prices.load import MAX_FILE_BYTES, load_book

D = Decimal
KINDS = ("minimax", "openai", "anthropic", "azure", "gemini", "deepseek", "openrouter", "llmapi")
WORLD, CHINA = "api.minimax.io", "api.minimaxi.com"


def at_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


NOW_NS = at_ns("2026-11-23T00:00:00+00:00")

BOOK = load_book(kinds=KINDS)


def rates(model: str, host: str = WORLD, kind: str = "minimax", when_ns: int = NOW_NS) -> list[str | None]:
    """Input, output, cache read and cache write rate of a model."""
    price = BOOK.find(kind, host, model, when_ns)
    assert price is not None, model
    found = price.card.rates
    return [None if rate is None else f"{rate.normalize():f}" for rate in
            (found.input, found.output, found.cached_input, found.cache_write)]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "figures"),
    [
        ("MiniMax-M3", ["0.3", "1.2", "0.06", None]),
        ("MiniMax-M3.1-Flash", ["0.15", "0.6", "0.015", None]),
        ("MiniMax-M3.1-Flash-Preview", ["0.15", "0.6", "0.015", None]),
        ("MiniMax-M2.7", ["0.3", "1.2", "0.06", "0.375"]),
        ("MiniMax-M2.7-highspeed", ["0.6", "2.4", "0.06", "0.375"]),
        ("MiniMax-M2.5", ["0.3", "1.2", "0.03", "0.375"]),
        ("MiniMax-M2.1", ["0.3", "1.2", "0.03", "0.375"]),
        ("MiniMax-M2", ["0.3", "1.2", "0.03", "0.375"]),
        ("MiniMax-M2.5-highspeed", ["0.6", "2.4", "0.03", "0.375"]),
        ("MiniMax-M2.1-highspeed", ["0.6", "2.4", "0.03", "0.375"]),
        ("MiniMax-M2.1-lightning", ["0.3", "2.4", "0.03", "0.375"]),
        ("MiniMax-M2.5-lightning", ["0.3", "2.4", "0.03", "0.375"]),
        ("M2-her", ["0.3", "1.2", None, None]),
        ("MiniMax-Text-01", ["0.2", "1.1", None, None]),
        ("MiniMax-M1", ["0.4", "2.2", None, None]),
        ("MiniMax-H3-Context-IR", ["0.9", "3.6", None, None]),
    ],
)
def test_minimax_models_cost_what_the_international_list_says(model, figures):
    assert rates(model) == figures
    assert BOOK.find("minimax", WORLD, model, NOW_NS).currency == "USD"


@pytest.mark.parametrize(
    ("model", "figures"),
    [
        ("MiniMax-M3", ["2.1", "8.4", "0.42", None]),
        ("MiniMax-M3.1-Flash", ["1", "4", "0.1", None]),
        ("MiniMax-M2.7", ["2.1", "8.4", "0.42", "2.625"]),
        ("MiniMax-M2.7-highspeed", ["4.2", "16.8", "0.42", "2.625"]),
        ("MiniMax-M2.5", ["2.1", "8.4", "0.21", "2.625"]),
        ("M2-her", ["2.1", "8.4", None, None]),
    ],
)
@pytest.mark.parametrize("host", [CHINA, "api.minimax.cn", "api.minimax.chat", "api-bj.minimaxi.com"])
def test_minimax_models_cost_yuan_at_the_hosts_in_china(host, model, figures):
    assert rates(model, host) == figures
    assert BOOK.find("minimax", host, model, NOW_NS).currency == "CNY"


def priced(host: str, model: str, kind: str = "minimax", tier: str = "", when_ns: int = NOW_NS, **figures):
    price = BOOK.find(kind, host, model, when_ns)
    usage = Usage(source="provider", complete=True, **figures)
    return price_usage(usage, price, at_ns=when_ns, service_tier=tier)


@pytest.mark.parametrize(
    ("host", "tier", "tokens", "cached", "amount"),
    [
        (WORLD, "", 512_000, 0, "0.1536"),
        (WORLD, "", 512_001, 0, "0.3072006"),
        (WORLD, "priority", 512_000, 0, "0.2304"),
        (WORLD, "priority", 512_001, 0, "0.4608009"),
        (WORLD, "priority", 1_000_000, 1_000_000, "0.18"),
        (CHINA, "", 512_001, 0, "2.1504042"),
        (CHINA, "priority", 1000, 0, "0.00315"),
    ],
)
def test_m3_has_a_cliff_and_a_priority_tier(host, tier, tokens, cached, amount):
    result = priced(host, "MiniMax-M3", tier=tier, input_tokens=tokens, cached_input_tokens=cached, output_tokens=0)

    assert result.amount == D(amount)
    assert not result.estimated


@pytest.mark.parametrize(
    ("host", "model", "units", "amount"),
    [
        (WORLD, "speech-2.8-hd", {"characters": "1000000", "audio_seconds": "60"}, "100"),
        (WORLD, "speech-2.6-turbo", {"characters": "1000000"}, "60"),
        (CHINA, "speech-2.8-hd", {"characters": "10000"}, "3.5"),
        (CHINA, "speech-02-turbo", {"characters": "10000"}, "2"),
        (WORLD, "asr-1.0", {"audio_seconds": "3600"}, "0.38"),
        (CHINA, "asr-1.0", {"audio_seconds": "3600"}, "2.5"),
        (WORLD, "image-01", {"images": "2"}, "0.007"),
        (CHINA, "image-01", {"images": "2"}, "0.05"),
        (WORLD, "speech-2.8-hd", {"voices_created": "1"}, "1.5"),
        (CHINA, "speech-2.8-hd", {"voices_created": "1"}, "9.9"),
        (WORLD, "operation:voice_design", {"voices_created": "1"}, "3"),
        (CHINA, "operation:voice_design", {"voices_created": "1"}, "9.9"),
        (WORLD, "MiniMax-Hailuo-2.3-Fast", {"videos_1080p_6s": "1"}, "0.33"),
        (WORLD, "MiniMax-Hailuo-02", {"videos_512p_10s": "1"}, "0.15"),
        (CHINA, "MiniMax-Hailuo-2.3", {"videos_768p_10s": "1"}, "4"),
        (WORLD, "MiniMax-H3", {"video_seconds_2k": "8", "input_images": "7"}, "1.12"),
        (WORLD, "MiniMax-H3-Max", {"video_seconds_480p": "8"}, "0.4"),
        (WORLD, "music-2.6", {"songs": "1", "audio_seconds": "25.364"}, "0.15"),
        (WORLD, "music-2.0", {"songs": "1"}, "0.03"),
        (WORLD, "operation:lyrics", {}, "0.01"),
        (WORLD, "operation:plan.search", {}, "0.01"),
    ],
)
def test_minimax_media_cost_what_the_lists_say(host, model, units, amount):
    assert priced(host, model, units={name: D(figure) for name, figure in units.items()}).amount == D(amount)


def test_a_clip_whose_resolution_is_not_known_has_no_cost():
    result = priced(WORLD, "MiniMax-Hailuo-2.3", units={"videos": D(1)})

    assert result.amount is None
    assert result.reasons == ("no_rate:videos",)


@pytest.mark.parametrize(("host", "amount"), [(WORLD, "0.01"), (CHINA, "0.03")])
def test_a_web_search_is_billed_beside_the_tokens(host, amount):
    result = priced(host, "MiniMax-M3", input_tokens=0, output_tokens=0, units={"web_search_requests": D(1)})

    assert result.amount == D(amount)


def test_a_model_has_no_price_before_it_existed():
    assert BOOK.find("minimax", WORLD, "MiniMax-M3.1-Flash", at_ns("2026-10-17T23:59:59+00:00")) is None
    assert BOOK.find("minimax", WORLD, "MiniMax-M3.1-Flash", at_ns("2026-10-18T00:00:00+00:00")) is not None


def test_a_gateway_in_front_of_minimax_is_priced_in_the_currency_it_is_said_to_bill_in():
    assert BOOK.find("minimax", "gateway.example", "MiniMax-M3", NOW_NS, currency="USD").id.endswith(
        "/minimax/MiniMax-M3"
    )
    assert BOOK.find("minimax", "gateway.example", "MiniMax-M3", NOW_NS, currency="CNY").id.endswith(
        "/minimax-cn/MiniMax-M3"
    )


@pytest.mark.parametrize(
    ("when", "amount"),
    [
        ("2026-11-23T09:00:00+08:00", "10"),  # Monday morning in Beijing
        ("2026-11-23T12:00:00+08:00", "5"),
        ("2026-11-23T17:59:00+08:00", "10"),
        ("2026-11-23T18:00:00+08:00", "5"),
        ("2026-11-28T10:00:00+08:00", "5"),  # Saturday
    ],
)
def test_deepseek_costs_twice_as_much_in_office_hours_and_says_it_is_an_estimate(when, amount):
    result = priced(
        "api.deepseek.com", "deepseek-chat", "deepseek", when_ns=at_ns(when), input_tokens=10**6, output_tokens=10**6
    )

    assert result.amount == D(amount)
    assert result.currency == "CNY"
    assert result.reasons == ("price_estimated",)


def test_the_price_of_a_gateway_without_a_list_is_an_estimate():
    result = priced("api.llmapi.ai", "minimax/minimax-m2.7", "llmapi", input_tokens=60, output_tokens=20)

    assert result.amount == D("0.000042")
    assert result.estimated


def test_context_sizes_are_known_for_reports():
    assert BOOK.find("minimax", WORLD, "MiniMax-M2.5", NOW_NS).context_tokens == 204_800


def test_every_entry_names_its_book_its_version_and_itself():
    ids = [price.id for layer in BOOK.layers for price in layer]

    assert "taximeter@2026-11-23/minimax/MiniMax-M3" in ids
    assert "taximeter@2026-11-23/minimax-cn/MiniMax-M3" in ids
    assert len(ids) == len(set(ids))
    assert all(price.origin == "book" for layer in BOOK.layers for price in layer)


def test_the_seed_page_is_off_until_it_is_asked_for():
    assert not any("seed" in price.id for layer in BOOK.layers for price in layer)

    seed = load_book(["seed-page"], kinds=KINDS)
    price = seed.find("llmapi", "api.llmapi.ai", "M2-her", NOW_NS)
    assert price.id == "seed-page@2026-11-23/unverified/llmapi M2-her"
    assert (price.card.rates.input, price.card.rates.output) == (D("0.20"), D("0.20"))
    assert "unverified" in price.estimate
    assert seed.find("minimax", WORLD, "MiniMax-M3", NOW_NS).id.startswith("taximeter@")


OWN = 'version: mine\nprices:\n  - {provider: minimax, match: "*", currency: USD, input: "0.1", output: "0.2"}\n'


def own_file(folder: Path, text: str = OWN, name: str = "own.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_of_the_operator_overlays_the_book(tmp_path):
    book = load_book([own_file(tmp_path)])

    assert book.find("minimax", WORLD, "MiniMax-M3", NOW_NS, currency="USD").id == "own@mine/minimax/*"
    assert (
        book.find("minimax", CHINA, "MiniMax-M3", NOW_NS, currency="CNY").id
        == "taximeter@2026-11-23/minimax-cn/MiniMax-M3"
    )


def test_the_last_file_wins(tmp_path):
    first, second = own_file(tmp_path), own_file(tmp_path, name="later.yaml")

    assert load_book([first, second]).find("minimax", WORLD, "x", NOW_NS).id == "later@mine/minimax/*"


def problems(*names: str, **more) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_book(names, **more)
    return str(caught.value).splitlines()


def test_every_mistake_of_every_file_is_said_at_once(tmp_path):
    first = own_file(tmp_path, OWN + "surplus: 1\n", "a.yaml")
    second = own_file(tmp_path, OWN.replace('"0.1"', "0.1"), "b.yaml")
    gone = str(tmp_path / "gone.yaml")

    assert set(problems(first, second, gone)) == {
        f"{first}:4: surplus: unknown key; known are book, defaults, enabled, note, prices, set, version",
        f'{second}:3: prices[0].input: must stand in quotes, such as "0.30": without them YAML makes a float of it',
        f"{gone}: cannot be read: no such file or directory",
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"prices: [", "is not valid YAML"),
        (b"- a list", "must hold keys and values"),
        (b"x" * (MAX_FILE_BYTES + 1), "is larger than"),
        (b"", "needs a version"),
    ],
)
def test_what_is_no_price_file_is_said(tmp_path, data, said):
    path = tmp_path / "odd.yaml"
    path.write_bytes(data)

    assert any(said in problem for problem in problems(str(path)))


def test_a_folder_is_no_file(tmp_path):
    assert "cannot be read" in problems(str(tmp_path))[0]


ENTRY = "  - {{provider: minimax, match: {match}, currency: {currency}, input: '1'{more}}}\n"


def two(match: str = "[m3]", other: str = "[m3]", currency: str = "USD", first: str = "", second: str = "") -> str:
    return (
        "version: v1\nprices:\n"
        + ENTRY.format(match=match, currency="USD", more=first)
        + ENTRY.format(match=other, currency=currency, more=second)
    )


@pytest.mark.parametrize(
    "text",
    [
        two(),
        two("[m3, m2]", "[m1, M3]"),
        two("['m*']", "['*3']"),
        two(first=", hosts: ['*.io']", second=", hosts: ['api.*']"),
        two(first=", effective_from: 2026-01-01", second=", effective_from: 2026-01-01, effective_until: 2027-01-01"),
        two(first=", hosts: [a.io], other_hosts: true", second=", hosts: [b.io], other_hosts: true"),
    ],
)
def test_entries_that_no_rule_can_choose_between_are_an_error(tmp_path, text):
    (problem,) = problems(own_file(tmp_path, text))

    assert ":4: prices[1]: overlaps with line 3" in problem
    assert "effective_from" in problem


@pytest.mark.parametrize(
    "text",
    [
        two("[m3]", "['m*']"),
        two("['m*']", "['m3*']"),
        two("['m*']", "['x*']"),
        two(currency="CNY", second=", name: yuan"),
        two(first=", hosts: [a.io]", second=", name: b, hosts: [b.io]"),
        two(first=", hosts: [a.io]", second=", name: any"),
        two(second=", effective_from: 2026-01-01"),
    ],
)
def test_entries_that_a_rule_chooses_between_are_fine(tmp_path, text):
    assert len(load_book([own_file(tmp_path, text)]).layers[1]) == 2


def test_two_entries_may_not_share_an_id(tmp_path):
    text = two(first=", hosts: [a.io]", second=", hosts: [b.io]")

    assert "has the same id as line 3: give it a name" in problems(own_file(tmp_path, text))[0]


def test_ids_are_told_apart_over_all_files(tmp_path):
    (tmp_path / "again").mkdir()

    assert "has the same id as" in problems(own_file(tmp_path), own_file(tmp_path / "again"))[0]


def test_a_kind_that_does_not_exist_is_an_error_where_kinds_are_known(tmp_path):
    text = OWN.replace("minimax", "minmax")

    load_book([own_file(tmp_path, text)])
    assert "did you mean minimax?" in problems(own_file(tmp_path, text), kinds=KINDS)[0]
