from proxy.config.problems import ConfigError, Place, Problem, Report, did_you_mean, dotted


def test_a_problem_reads_file_line_path_and_what_is_right():
    problem = Problem("t.yaml", Place(12, 5), "providers.minimax.base_ulr", "unknown key; did you mean base_url?")
    assert str(problem) == "t.yaml:12: providers.minimax.base_ulr: unknown key; did you mean base_url?"


def test_a_problem_without_line_or_path_leaves_them_out():
    assert str(Problem("environment", None, "", "X is not set")) == "environment: X is not set"


def test_paths_are_dotted_and_indexed():
    assert dotted(("prices", 0, "file")) == "prices[0].file"


def test_a_problem_stands_at_the_nearest_known_line():
    report = Report("t.yaml", {("store",): Place(7, 1)})
    report.add(("store", "tls", "ca_file"), "is missing")
    assert report.problems[0].place == Place(7, 1)


def test_a_report_knows_problems_at_and_below_a_path_only():
    report = Report("t.yaml")
    report.add(("providers", "a", "kind"), "x")
    assert report.has(("providers", "a"))
    assert not report.has(("providers", "a", "k"))
    assert not report.has(("store",))


def test_the_error_lists_problems_in_the_order_of_the_file():
    error = ConfigError([Problem("f", Place(9, 1), "b", "x"), Problem("f", Place(2, 1), "a", "y")])
    assert str(error).splitlines() == ["f:2: a: y", "f:9: b: x"]


def test_a_hint_names_the_nearest_word_or_all():
    assert did_you_mean("base_ulr", ["kind", "base_url"]) == "did you mean base_url?"
    assert did_you_mean("zzz", ["kind", "base_url"]) == "known are base_url, kind"
