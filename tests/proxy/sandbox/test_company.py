from proxy.sandbox.company import APPS


def test_apps_are_told_apart_by_their_team_and_project():
    assert len({(app.team, app.project) for app in APPS}) == len(APPS)


def test_the_company_calls_several_providers_in_every_dialect():
    assert {app.path.split("/")[1] for app in APPS} >= {"openai", "anthropic", "minimax", "minimax-cn", "deepseek"}
    minimax = {app.path.removeprefix("/minimax") for app in APPS if app.path.startswith("/minimax/")}
    assert minimax == {"/v1/chat/completions", "/anthropic/v1/messages", "/v1/text/chatcompletion_v2"}


def test_ranges_are_ranges():
    for app in APPS:
        for low, high in (app.prompt_words, app.output_tokens, app.ttfb_ms):
            assert 0 < low <= high
        assert app.users
        assert app.weight > 0
        assert 0 <= app.streaming <= 1
