"""What kzproxy makes of the answers to what it asks about its account, before it serves."""

import itertools

import pytest

from kzproxy.server.account_checks import AccountReport, check_account
from kzproxy.upstream.api_server import ApiServer
from tests.servers.scripted_api_server import (
    ACCOUNT,
    Connection,
    ScriptedApiServer,
    answer_review,
    json_answer,
    take_body,
)
from tests.upstream.conftest import (  # noqa: F401 - fixtures
    api_server,
    clock,
    deadlines,
    stand_in,
)

WHO, RIGHTS, IMPERSONATING = range(3)


class Reviewed:
    """An account, and what kube-apiserver answers where it is reviewed."""

    def __init__(self, reviewer: ScriptedApiServer, asked: ApiServer) -> None:
        self._reviewer = reviewer
        self._asked = asked

    def spoil(self, which: int, status: int, body: object) -> None:
        """Answer one of the three reviews, in the order in which they are asked for, otherwise."""
        numbers = itertools.count()

        def answer(connection: Connection, head: bytes) -> None:
            if next(numbers) != which:
                answer_review(connection, head)
                return
            take_body(connection, head)
            connection.send(json_answer(status, body))

        self._reviewer.reviews = answer

    async def report(self) -> AccountReport:
        return await check_account(self._asked, send_uid=True)

    async def problem(self) -> str:
        """The only one that there is, of an answer that will not be another one in a moment."""
        report = await self.report()
        assert report.reached
        [problem] = report.problems
        return problem


@pytest.fixture
def reviewed(stand_in: ScriptedApiServer, api_server: ApiServer) -> Reviewed:  # noqa: F811 - fixtures
    return Reviewed(stand_in, api_server)


async def test_an_account_that_can_do_its_job_is_named(reviewed: Reviewed) -> None:
    assert await reviewed.report() == AccountReport(username=ACCOUNT)


@pytest.mark.parametrize("which", [WHO, RIGHTS, IMPERSONATING])
@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_what_kube_apiserver_cannot_answer_at_this_moment_says_nothing_of_the_account(
    reviewed: Reviewed, which: int, status: int
) -> None:
    reviewed.spoil(which, status, {"status": "Failure", "message": "etcdserver: leader changed"})
    report = await reviewed.report()

    assert not report.reached
    assert report.problems == (
        f"kube-apiserver cannot answer at this moment: {status} etcdserver: leader changed",
    )


async def test_a_credential_that_is_not_accepted_is_to_be_renewed(reviewed: Reviewed) -> None:
    reviewed.spoil(WHO, 401, {"status": "Failure", "message": "Unauthorized"})

    assert await reviewed.problem() == (
        "kube-apiserver does not accept kzproxy's credential: 401 Unauthorized;"
        " renew the token or certificate"
    )


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, {"status": "Failure", "message": "cannot create them"}, "403 cannot create them"),
        (404, {"status": "Failure", "message": "there is none"}, "404 there is none"),
        (201, {"status": {}}, "201"),
        (201, {"status": {"userInfo": None}}, "201"),
        (201, ["what is this"], "201"),
    ],
)
async def test_an_account_whose_name_is_not_told_is_not_accepted_and_not_accused(
    reviewed: Reviewed, status: int, body: object, words: str
) -> None:
    reviewed.spoil(WHO, status, body)

    assert await reviewed.problem() == (
        f"kube-apiserver does not say who kzproxy is: {words}"
        " (POST /apis/authentication.k8s.io/v1/selfsubjectreviews)"
    )


async def test_an_account_that_can_list_secrets_is_not_accepted(reviewed: Reviewed) -> None:
    reviewed.spoil(RIGHTS, 201, {"status": {"allowed": True}})

    assert "can list secrets without impersonating" in await reviewed.problem()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, {"status": "Failure", "message": "cannot create them"}, "403 cannot create them"),
        (201, {"status": {}}, "201"),
        (201, {"status": {"allowed": "false"}}, "201"),
    ],
)
async def test_an_account_of_which_nobody_says_what_it_can_list_is_not_accepted_and_not_accused(
    reviewed: Reviewed, status: int, body: object, words: str
) -> None:
    reviewed.spoil(RIGHTS, status, body)

    assert await reviewed.problem() == (
        f"kube-apiserver does not say whether kzproxy's account can list secrets by itself: {words}"
        " (POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews)"
    )


async def test_an_account_that_may_not_impersonate_is_told_what_to_apply(
    reviewed: Reviewed,
) -> None:
    reviewed.spoil(IMPERSONATING, 403, {"status": "Failure", "message": "cannot impersonate"})

    problem = await reviewed.problem()
    assert problem.startswith("kzproxy's account cannot impersonate: 403 cannot impersonate; apply")


async def test_impersonation_that_is_passed_over_is_not_called_a_missing_right(
    reviewed: Reviewed,
) -> None:
    reviewed.spoil(IMPERSONATING, 201, {"status": {"userInfo": {"username": ACCOUNT}}})

    assert await reviewed.problem() == (
        f"kube-apiserver does not take kzproxy for whom it impersonates: 201 as {ACCOUNT!r}"
    )
