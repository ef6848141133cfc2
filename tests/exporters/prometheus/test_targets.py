from exporters.prometheus.targets import MAX_TARGETS, TargetLevel, target_families


def test_without_targets_there_are_no_metrics():
    assert target_families([]) == []


def test_each_target_tells_its_state_and_its_window():
    families = target_families([TargetLevel(target="minimax/M3", state="open", calls=9, failures=5)])
    told = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}

    assert told == {
        ("taximeter_target_state", "minimax/M3", "open"): 1,
        ("taximeter_target_calls", "minimax/M3"): 9,
        ("taximeter_target_failures", "minimax/M3"): 5,
    }


def test_their_number_is_bounded():
    many = [TargetLevel(target=str(number), state="closed", calls=0, failures=0) for number in range(MAX_TARGETS + 1)]

    assert all(len(family.samples) == MAX_TARGETS for family in target_families(many))
