from exporters.alerts.channel import command_for


def test_a_budget_has_a_command_and_other_rules_have_none():
    assert command_for("budget:search") == "taximeter budget status search"
    assert command_for("limit:rpm") == ""
    assert command_for("") == ""
