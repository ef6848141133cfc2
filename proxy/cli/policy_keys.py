"""The virtual keys that were made with `taximeter keys`, for commands that try policies."""

from typing import TYPE_CHECKING

from proxy.cli.command import fail

if TYPE_CHECKING:
    from policies.compiled import CompiledPolicies
    from policies.facts import CallFacts
    from proxy.settings import Settings


def with_made_keys(settings: "Settings", compiled: "CompiledPolicies") -> "CompiledPolicies":
    """The policies with the keys of the data folder; what a policy file says of one wins, as it does in the proxy."""
    # Imported here: see proxy.cli.
    from policies.keystore import FILE_NAME, Keystore, KeystoreError
    from policies.pepper import PepperError, pepper_of
    from proxy.policy_watch import with_keys

    path = settings.data_dir / FILE_NAME
    if not path.exists():
        return compiled
    try:
        store = Keystore(path, bytes.fromhex(pepper_of(settings.key_pepper, settings.data_dir)))
        try:
            return with_keys(compiled, store.all_keys(), settings)
        finally:
            store.close()
    except (KeystoreError, PepperError) as error:
        fail(str(error))


def as_called_by(compiled: "CompiledPolicies", facts: "CallFacts") -> "CallFacts":
    """The call with what its key stands for, as the proxy's gate says it. An unknown key ends the command."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.config.problems import did_you_mean

    if not facts.key:
        return facts
    rule = compiled.keys.get(facts.key)
    if rule is None:
        near = f": {did_you_mean(facts.key, sorted(compiled.keys))}" if compiled.keys else ""
        fail(f"there is no key {facts.key}{near}")
    given = facts.caller
    caller = msgspec.structs.replace(
        given,
        key_id=rule.name,
        team=rule.team or given.team,
        project=rule.project or given.project,
        user=rule.user or given.user,
        tags=given.tags | rule.tags,
    )
    return msgspec.structs.replace(facts, caller=caller)
