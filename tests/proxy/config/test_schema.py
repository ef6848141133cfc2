from proxy.config.schema import Config


def test_an_empty_mapping_is_a_whole_config():
    config = Config.model_validate({})
    assert config.listen.url == "http://127.0.0.1:8484"
    assert config.admin.url == "http://127.0.0.1:8485"
    assert config.store.listen.url == "http://127.0.0.1:8486"


def test_keys_without_a_value_count_as_left_out():
    config = Config.model_validate({"listen": None, "store": None, "providers": {"openai": None}})
    assert config == Config.model_validate({"providers": {"openai": {}}})


def test_an_unquoted_version_is_taken_as_text():
    assert Config.model_validate({"semconv": 1.41}).semconv == "1.41"


def test_policies_lie_beside_the_configuration():
    assert Config.model_validate({}).policies == ["policies/*.yaml"]
