"""What is wrong with the models that thresholds send calls to, found when the policies load. PURE.

A plain name may be a model of whichever provider a call goes to, and nobody knows all of those. One that is nearly an
alias is taken for a slip all the same: `provider/model` says beyond doubt what is meant.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from policies.aliases import split_model
from policies.compiled import Budget
from policies.routes_check import perhaps
from proxy.config.problems import Report

_NEARLY = 0.8


def check_downgrades(
    sources: Sequence[tuple[Report, Sequence[Budget]]], aliases: Mapping[str, str], providers: Collection[str]
) -> None:
    """Report thresholds whose model names a provider that is not there, or an alias that is not.

    Args:
        sources: Of each file its report and its budgets.
        aliases: Of all files, in lower case.
        providers: Names of the configured ones.
    """
    for report, budgets in sources:
        for budget in budgets:
            for problem in _problems(budget, aliases, providers):
                report.add(("budgets", budget.name, "thresholds"), problem)


def _problems(budget: Budget, aliases: Mapping[str, str], providers: Collection[str]) -> Iterator[str]:
    for model in dict.fromkeys(one.model for one in budget.thresholds if one.model):
        if model.lower() in aliases:
            continue
        prefix, slash, _ = model.partition("/")
        if slash and split_model(model, providers) is None:
            yield (
                f"{model!r} names no provider{perhaps(prefix, providers)} "
                f"(a model with a slash in its name is written with its provider, such as openrouter/{model})"
            )
        elif not slash and (near := get_close_matches(model.lower(), list(aliases), n=1, cutoff=_NEARLY)):
            yield f"there is no alias {model!r}; did you mean {near[0]}? (a model is written provider/{model}, too)"
