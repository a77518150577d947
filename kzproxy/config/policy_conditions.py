"""The conditions of rules, tiers and named conditions, and the names that policies give them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from kzproxy.config.document import Node, did_you_mean
from kzproxy.config.policy_contexts import Contexts
from kzproxy.config.policy_device import (
    MAX_LEVEL,
    DeviceAsked,
    SessionAsked,
    read_device,
    read_session,
)
from kzproxy.config.policy_durations import read_duration
from kzproxy.config.policy_location import read_asns, read_countries
from kzproxy.config.policy_names import checked_name, filled
from kzproxy.config.policy_selectors import read_label_selector
from kzproxy.config.policy_subjects import WORKLOAD
from kzproxy.policy.rules import (
    NO_CONDITIONS,
    Conditions,
    Effect,
    NamedCondition,
    ObjectFeatures,
    RequestFeatures,
    SignIn,
    Tier,
)

if TYPE_CHECKING:
    from kzproxy.policy.expression import Expression

_PLACES = (
    "networks",
    "countries",
    "asns",
    "time",
    "device",
    "authentication",
    "session",
    "workload",
    "request",
)
_FIELDS = (*_PLACES, "object", "all", "any", "none")


class Reader(msgspec.Struct, frozen=True):
    """Reads conditions in the light of what all files define.

    Attributes:
        contexts: Networks and calendars.
        named: Named conditions read so far; those that come later are not known yet.
        tiers: Read so far.
        levels: Of all tiers by name, of those that come later too.
        on_tiers: The named conditions that ask for a tier, themselves or by another.
    """

    contexts: Contexts
    named: dict[str, NamedCondition]
    tiers: dict[int, Tier]
    levels: dict[str, int] = msgspec.field(default_factory=dict)
    on_tiers: set[str] = msgspec.field(default_factory=set)

    def define_condition(self, key: Node, node: Node) -> None:
        """Read one named condition; it may use those before it."""
        name = checked_name(key)
        if name in self.named:
            key.mistake(f"condition {name} is already defined in another document")
        when, conditions = self._with_expression(node)
        if self._asks_for_tier(conditions) or (when is not None and self._reads_tier(when)):
            self.on_tiers.add(name)
        self.named[name] = NamedCondition(name=name, conditions=conditions, when=when)

    def name_tiers(self, lists: Iterable[Node]) -> None:
        """Note the names of tiers, which conditions before them may use."""
        for item in (item for each in lists for item in each.sequence()):
            written = item.raw()
            name, level = (
                (written.get("name"), written.get("level"))
                if isinstance(written, dict)
                else ("", 0)
            )
            if not isinstance(name, str) or not isinstance(level, int):
                continue
            if self.levels.get(name, level) != level:
                item.mistake(f"tier {name} is level {self.levels[name]} already")
            self.levels.setdefault(name, level)

    def define_tier(self, node: Node) -> None:
        """Read one tier; it may use named conditions."""
        fields = node.mapping(required=("level", "name"), optional=("conditions", "when"))
        level = fields["level"].integer(1, MAX_LEVEL)
        if level in self.tiers:
            fields["level"].mistake(f"level {level} is {self.tiers[level].name} already")
        if node.is_mapping() and not {"conditions", "when"} & fields.keys():
            node.mistake("every device would be of it; name conditions or when")
        conditions = NO_CONDITIONS
        if "conditions" in fields:
            conditions = self.conditions(fields["conditions"], Effect.ALLOW)
            if self._asks_for_tier(conditions):
                fields["conditions"].mistake("a tier cannot ask for a tier")
        when = self.expression(fields["when"]) if "when" in fields else None
        if when is not None and self._reads_tier(when):
            fields["when"].mistake("a tier cannot ask for a tier")
        tier = Tier(
            level=level, name=checked_name(fields["name"]), conditions=conditions, when=when
        )
        self.tiers[level] = tier

    def _asks_for_tier(self, conditions: Conditions) -> bool:
        names = (*conditions.all_of, *conditions.any_of, *conditions.none_of)
        tiers = (conditions.device_tier, conditions.device_below_tier)
        return tiers != (None, None) or not self.on_tiers.isdisjoint(names)

    def _reads_tier(self, when: "Expression") -> bool:
        return "device.tier" in when.reads or not self.on_tiers.isdisjoint(when.conditions)

    def _with_expression(self, node: Node) -> tuple["Expression | None", Conditions]:
        fields = node.mapping(optional=(*_FIELDS, "when"))
        if node.is_mapping() and not fields:
            node.mistake(f"name one of {', '.join(_FIELDS)} or when")
        when = self.expression(fields.pop("when")) if "when" in fields else None
        return when, self._conditions(fields, None)

    def conditions(self, node: Node, effect: Effect | None) -> Conditions:
        """Read ``conditions`` of a rule; ``effect`` is None where that is itself a mistake."""
        fields = node.mapping(optional=_FIELDS)
        if node.is_mapping() and not fields:
            node.mistake(f"name {', '.join(_FIELDS[:-1])} or {_FIELDS[-1]}, or leave them out")
        return self._conditions(fields, effect)

    def _conditions(self, fields: dict[str, Node], effect: Effect | None) -> Conditions:
        device, session = DeviceAsked(), SessionAsked()
        if "device" in fields:
            device = read_device(fields["device"], effect, self.levels)
        if "session" in fields:
            session = read_session(fields["session"])
        for name in ("authentication", "session"):
            if effect is Effect.DENY and name in fields:
                fields[name].mistake(
                    f"a deny rule with {name} would spare the old and unknown ones; put what is"
                    " wanted under conditions: and deny what is not with none: [NAME]"
                )
        return Conditions(
            networks=self.contexts.networks(fields["networks"]) if "networks" in fields else (),
            countries=read_countries(fields["countries"]) if "countries" in fields else frozenset(),
            asns=read_asns(fields["asns"]) if "asns" in fields else frozenset(),
            time=self.contexts.calendars(fields["time"]) if "time" in fields else (),
            device_enrolled=device.enrolled,
            device_tier=device.tier,
            device_below_tier=device.below_tier,
            device=device.features,
            sign_in=_sign_in(fields["authentication"]) if "authentication" in fields else None,
            session_max_age=session.max_age,
            session_kept=session.kept,
            session_max_risk=session.max_risk,
            session_same_address=session.same_address,
            session_same_country=session.same_country,
            workloads=_workloads(fields["workload"]) if "workload" in fields else (),
            request=_request(fields["request"]) if "request" in fields else None,
            api_object=_object(fields["object"]) if "object" in fields else None,
            all_of=self._names(fields, "all"),
            any_of=self._names(fields, "any"),
            none_of=self._names(fields, "none"),
        )

    def _names(self, fields: dict[str, Node], word: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for item in filled(fields[word], "conditions") if word in fields else []:
            name = item.string()
            if name in self.named:
                found[name] = None
            elif name:
                defined = ", ".join(sorted(self.named)) or "nothing"
                hint = did_you_mean(name, self.named)
                item.mistake(
                    f"{name} is not defined under conditions before this{hint}; defined: {defined}"
                )
        return tuple(found)

    def expression(self, node: Node) -> "Expression | None":
        """Read ``when``."""
        # Here, because a policy without an expression does without the 14 MiB of CEL.
        from kzproxy.expressions.errors import ExpressionError
        from kzproxy.policy import expression_facts  # noqa: F401 - what they are judged with
        from kzproxy.policy.expression import DeclaredNames, compile_expression

        text = node.string()
        names = DeclaredNames(
            networks=frozenset(each.name for each in self.contexts.all_networks),
            calendars=frozenset(each.name for each in self.contexts.all_calendars),
            conditions=frozenset(self.named),
        )
        try:
            return compile_expression(text, names) if text else None
        except ExpressionError as error:
            node.mistake(
                f"{error.message} (line {error.line}, column {error.column} of the expression)"
            )
            return None


def _sign_in(node: Node) -> SignIn:
    fields = node.mapping(optional=("maxAge", "classes", "methods", "issuers"))
    if node.is_mapping() and not fields:
        node.mistake("name maxAge, classes, methods or issuers")
    return SignIn(
        max_age=read_duration(fields["maxAge"]) if "maxAge" in fields else None,
        classes=frozenset(_texts(fields, "classes")),
        methods=frozenset(_texts(fields, "methods")),
        issuers=frozenset(_texts(fields, "issuers")),
    )


def _workloads(node: Node) -> tuple[str, ...]:
    fields = node.mapping(required=("spiffeIDs",))
    for item in fields["spiffeIDs"].sequence() if "spiffeIDs" in fields else ():
        pattern = item.string() if item.is_text() else ""
        if pattern and not WORKLOAD.fullmatch(pattern):
            item.mistake(
                f'"{pattern}" fits no SPIFFE ID, and would never hold; write'
                ' "spiffe://TRUST-DOMAIN/PATH", where * stands for any characters'
            )
    return _texts(fields, "spiffeIDs")


def _request(node: Node) -> RequestFeatures:
    fields = node.mapping(optional=("userAgents", "dryRun", "commands", "containers"))
    if node.is_mapping() and not fields:
        node.mistake("name userAgents, dryRun, commands or containers")
    return RequestFeatures(
        user_agents=_texts(fields, "userAgents"),
        dry_run=fields["dryRun"].boolean() if "dryRun" in fields else None,
        commands=_texts(fields, "commands"),
        containers=_texts(fields, "containers"),
    )


def _object(node: Node) -> ObjectFeatures:
    fields = node.mapping(
        optional=("privileged", "hostNamespaces", "serviceAccounts", "images", "labels")
    )
    if node.is_mapping() and not fields:
        node.mistake("name privileged, hostNamespaces, serviceAccounts, images or labels")
    return ObjectFeatures(
        privileged=fields["privileged"].boolean() if "privileged" in fields else None,
        host_namespaces=fields["hostNamespaces"].boolean() if "hostNamespaces" in fields else None,
        service_accounts=_texts(fields, "serviceAccounts"),
        images=_texts(fields, "images"),
        labels=read_label_selector(fields["labels"]) if "labels" in fields else None,
    )


def _texts(fields: dict[str, Node], name: str) -> tuple[str, ...]:
    return tuple(item.string() for item in filled(fields[name], name)) if name in fields else ()
