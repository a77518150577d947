"""One attack, judged by both logs: what kzproxy says of it, and what reached the API server."""

from collections.abc import Iterable
from typing import Any

from tests.attacks.front import SECRET, Front
from tests.attacks.standing_check import by_account
from tests.cluster.audit_log import COMPLETE, AuditEvent
from tests.proxy.json_lines import end_of_lines, json_lines
from tests.proxy.raw_client import Answer, RawClient
from tests.proxy.world import request

_FENCE = "/api/v1/namespaces/attacks-a/configmaps/fence"


class Trial:
    """What is sent from its making on.

    Nothing else uses kzproxy's account meanwhile, so that every request that reaches the API server
    under it is the attack's, whatever its audit id.
    """

    def __init__(self, front: Front) -> None:
        self.front = front
        self._audit_mark = front.audit_log.mark()
        self._log = front.world.proxy.decision_log
        self._log_mark = end_of_lines(self._log)
        self._fence = request("GET", _FENCE, front.token("fence", "full"))
        self._fences: set[str] = set()

    def client(self, **options: Any) -> RawClient:
        """Connect to kzproxy."""
        return self.front.world.client(**options)

    def send(self, data: bytes, **options: Any) -> Answer:
        """Send exactly these bytes on a connection of their own, and return the answer."""
        with self.client(**options) as client:
            return client.ask(data, to_head=data.startswith(b"HEAD "))

    def send_each(self, requests: Iterable[bytes]) -> list[Answer]:
        """Send one after another, on as few connections as kzproxy lets live."""
        answers: list[Answer] = []
        client = self.client()
        for data in requests:
            answers.append(client.ask(data))
            if answers[-1].headers.get("connection") == ["close"]:
                client.tls.close()
                client = self.client()
        client.tls.close()
        return answers

    def decisions(self) -> list[dict[str, Any]]:
        """Return kzproxy's decisions since the trial began, but for the fence's."""
        return [
            record
            for record in json_lines(self._log, self._log_mark)
            if record["kind"] == "decision" and record["audit_id"] not in self._fences
        ]

    def decision(self, answer: Answer) -> dict[str, Any]:
        """Return the one decision about an answered request."""
        (record,) = [r for r in self.decisions() if r["audit_id"] == answer.audit_id]
        return record

    def upstream(self) -> dict[str, list[AuditEvent]]:
        """Return all events under kzproxy's account since the trial began, by audit id.

        An ordinary request goes after the attack first: kube-apiserver writes its events in order
        and before it answers, so that what the attack let through stands there by then.
        """
        fence = self.front.fence.ask(self._fence).audit_id
        self._fences.add(fence)
        self.front.audit_log.find(fence, stage="RequestReceived", mark=self._audit_mark)
        events = by_account(self.front.audit_log.since(self._audit_mark))
        return {
            audit_id: stages
            for audit_id, stages in events.items()
            # What only ended since then had begun before.
            if stages[0]["stage"] == "RequestReceived" and audit_id not in self._fences
        }

    def nothing_upstream(self) -> None:
        """Insist that nothing reached the API server."""
        assert self.upstream() == {}

    def only_event(self, answer: Answer, stage: str = COMPLETE) -> AuditEvent:
        """Insist that one request reached the API server, the answered one; return its event."""
        assert list(self.upstream()) == [answer.audit_id]
        return self.front.audit_log.find(answer.audit_id, stage=stage, mark=self._audit_mark)

    def refused(self, answer: Answer, status: int, cause: str, message: str = "") -> None:
        """Insist on a refusal before any judgement, logged, with nothing sent upstream."""
        self._is_status(answer, status, message)
        (record,) = self.decisions()
        assert record["audit_id"] == answer.audit_id
        assert (record["decision"], record["cause"]) == ("refused", cause)
        assert record["status_code"] == status
        self.nothing_upstream()

    def denied(self, answer: Answer, rule: str | None = None) -> dict[str, Any]:
        """Insist on policy's no, with nothing sent upstream; return the record.

        ``rule`` is the deny rule that said so; empty where only the want of a rule may have.
        """
        self._is_status(answer, 403)
        (record,) = self.decisions()
        assert record["audit_id"] == answer.audit_id
        assert record["decision"] == "deny"
        if rule:
            assert (record["cause"], record["rule"]) == ("deny-rule", rule)
        elif rule is not None:
            assert record["cause"] == "no-rule"
        self.nothing_upstream()
        return record

    def permitted(self, answer: Answer, user: str, stage: str = COMPLETE) -> AuditEvent:
        """Insist that exactly the judged request reached the API server, as ``user``."""
        record = self.decision(answer)
        assert record["decision"] == "permit"
        event = self.only_event(answer, stage)
        assert event["impersonatedUser"]["username"] == user
        assert_same_request(record["request"], event)
        return event

    def _is_status(self, answer: Answer, status: int, message: str = "") -> None:
        assert answer.status == status, answer.body
        assert answer.json["kind"] == "Status"
        assert answer.json["code"] == status
        assert answer.audit_id in answer.message
        assert message in answer.message
        assert SECRET.encode() not in answer.body


def assert_same_request(judged: dict[str, Any], event: AuditEvent) -> None:
    """Insist that the API server did what policy judged."""
    assert event["verb"] == judged["kube_verb"]
    asked = event.get("objectRef")
    if asked is None:
        assert "resource" not in judged
        assert event["requestURI"].partition("?")[0] == judged["path"]
        return
    theirs = [
        asked.get(key, "")
        for key in ("apiGroup", "apiVersion", "namespace", "resource", "subresource")
    ]
    ours = [
        judged.get(key, "") for key in ("group", "version", "namespace", "resource", "subresource")
    ]
    assert ours == theirs
    # kube-apiserver keeps ``scheme:name:port`` in one; policy sees the name alone.
    assert judged.get("name", "") in asked.get("name", "").split(":")
