from proxy.providers import PROVIDERS
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


def test_every_app_calls_a_built_in_provider_on_a_path_that_is_chat():
    routes = {name: provider.route for provider in PROVIDERS for name in provider.base_urls}
    for app in APPS:
        _, name, path = app.path.split("/", 2)
        assert routes[name]("POST", f"/{path}").operation == "chat"
