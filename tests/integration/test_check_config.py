"""`fulfillment check-config`, as a process: offline, and with a real API server and the stand-in for Stripe."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import OWN_ACCOUNT, POWERLESS_KEY, TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.fake_stripe.traffic import Fail
from fulfillment_local.mailbox import mailbox
from fulfillment_runtime.chart_values import with_chart_values
from support import commands
from support.running_operator import Shop, open_shop
from support.running_recovery import RULES as RECOVERY_RULES
from support.running_webhook import RULES as SERVICE_RULES

RIGHT = {"STRIPE_API_KEY": TEST_KEY, "STRIPE_WEBHOOK_SECRETS": "whsec_1", "STRIPE_LIVEMODE": "false"}
MAIL = {"FULFILLMENT_SMTP_HOST": "localhost", "FULFILLMENT_MAIL_FROM": "orders@shop.example"}


async def check(environ: dict[str, str], *arguments: str) -> tuple[int | None, list[str], str]:
    """Run it: exit code, lines, standard error."""
    return await fulfillment(environ, "check-config", *arguments)


async def fulfillment(environ: dict[str, str], *arguments: str) -> tuple[int | None, list[str], str]:
    process = await asyncio.create_subprocess_exec(
        commands.fulfillment(),
        *arguments,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode().splitlines(), errors.decode()


async def test_what_is_right() -> None:
    """One line for each finding, and exit code 0."""
    assert await check(RIGHT | MAIL) == (
        0,
        [
            "ok      operator: the settings are right",
            "ok      operator: the mail templates render",
            "ok      operator: the backends can be loaded: log",
            "ok      page: the settings are right",
            "ok      recover: the settings are right",
            "ok      service: the settings are right",
        ],
        "",
    )


async def test_one_workload_alone() -> None:
    """A pod has the settings of one."""
    of_one = {"STRIPE_WEBHOOK_SECRETS": "whsec_1"}
    named = await check(of_one, "--settings", "service")
    assert await check(of_one | {"CHECK_CONFIG_SETTINGS": "service"}) == named
    assert named == (
        0,
        [
            "ok      service: the settings are right",
            "ok      service: STRIPE_LIVEMODE (stripe.livemode) is not set: test events and live events both count",
        ],
        "",
    )


async def test_all_that_is_wrong_is_told_at_once() -> None:
    """Where a start ends at the first mistake; what concerns several workloads is told once."""
    wrong = {"STRIPE_API_KEY": TEST_KEY, "STRIPE_TIMEOUT": "soon", "FULFILLMENT_WORKERS": "0", "STRIPE_TYPO": "1"}
    code, lines, errors = await check(wrong)
    assert [line.split(":")[1].split()[0] for line in lines] == [
        "STRIPE_TIMEOUT",
        "FULFILLMENT_WORKERS",
        "STRIPE_TYPO",
        "STRIPE_WEBHOOK_SECRETS",
    ]
    assert {line.split()[0] for line in lines} == {"failure"}
    assert (code, errors) == (78, "Error: the configuration is wrong: 4 to mend\n")


WRONG = [
    (
        {"FULFILLMENT_RETENTION": "24h"},
        "FULFILLMENT_RETENTION must be at least 744h (31 days), or 0s to keep every order: ",
    ),
    (
        {"FULFILLMENT_BACKEND": "pigeon"},
        "there is no backend 'pigeon', which FULFILLMENT_BACKEND or FULFILLMENT_ROUTES names: there are http, ",
    ),
    (
        {"FULFILLMENT_BACKEND": "http"},
        "FULFILLMENT_HTTP_URL is not set: the http backend posts orders to it",
    ),
    *(
        (
            {"FULFILLMENT_BACKEND": "http", "FULFILLMENT_HTTP_URL": url},
            "FULFILLMENT_HTTP_URL names no host: it is as https://shop.example/orders",
        )
        for url in ("https://", "https:///orders", "http://shop.example:99999/", "http://shop..example/")
    ),
    ({**MAIL, "FULFILLMENT_MAIL_FROM": "the shop"}, "FULFILLMENT_MAIL_FROM 'the shop' is no mail address"),
    (
        {
            "FULFILLMENT_BACKEND": "http",
            "FULFILLMENT_HTTP_URL": "http://localhost/",
            "FULFILLMENT_HTTP_SECRET": "whsec_é",
        },
        "FULFILLMENT_HTTP_SECRET is no Standard Webhooks secret: ",
    ),
    ({"FULFILLMENT_JOB_TEMPLATE": "a"}, "FULFILLMENT_JOB_TEMPLATE: Expected `object`, got `str`"),
    ({"FULFILLMENT_JOB_REVERSAL_TEMPLATE": "a"}, "FULFILLMENT_JOB_REVERSAL_TEMPLATE: Expected `object`, got `str`"),
    (
        {"FULFILLMENT_ROUTES": "[{backend: log}, {backend: manual}]"},
        "FULFILLMENT_ROUTES: route 2 takes no order: route 1 takes each before it; put it first, or take it out",
    ),
    (
        {"FULFILLMENT_ROUTES": "[{backend: log, when: {price: 7}}]"},
        "FULFILLMENT_ROUTES: Expected `str | null`, got `int` - at `$[0].when.price` (the first route is $[0])",
    ),
    (
        {"FULFILLMENT_ROUTES": "[{backend: pigeon, when: {mode: payment}}]"},
        "there is no backend 'pigeon', which FULFILLMENT_BACKEND or FULFILLMENT_ROUTES names: there are http, ",
    ),
    ({"FULFILLMENT_REVERSAL_INTERVAL": "0s"}, "FULFILLMENT_REVERSAL_INTERVAL must be more than 0s"),
    ({"FULFILLMENT_MAIL_TEMPLATES": "/nowhere"}, "FULFILLMENT_MAIL_TEMPLATES names '/nowhere', which is no folder"),
    ({"FULFILLMENT_SMTP_USERNAME": "a"}, "FULFILLMENT_SMTP_USERNAME and FULFILLMENT_SMTP_PASSWORD go together: "),
    ({"STRIPE_API_KEY": "pk_test_1"}, "STRIPE_API_KEY is no secret key: it starts with sk_ or rk_"),
    ({"STRIPE_WEBHOOK_SECRETS": "sk_test_1"}, "STRIPE_WEBHOOK_SECRETS: number 1 of 1 is no signing secret: "),
    ({"STRIPE_METADATA": "app=1 app=2"}, "STRIPE_METADATA names a key twice: a Session has one value of each"),
    (
        {"STRIPE_LIVEMODE": "true"},
        "STRIPE_LIVEMODE is true, and STRIPE_API_KEY is a key of test mode: nothing that Stripe tells would count",
    ),
    ({"KUBECONFIG": "/nowhere"}, "KUBECONFIG names '/nowhere', which is not there: set it to a kubeconfig file"),
    ({"KUBECONFIG": __file__}, "no Kubernetes API to talk to: the kubeconfig is wrong: it is none"),
]


@pytest.mark.parametrize(("environ", "line"), WRONG)
async def test_what_is_wrong_beyond_one_setting(environ: dict[str, str], line: str) -> None:
    """How settings go together, backends, routes, templates and secrets."""
    code, lines, _ = await check(RIGHT | environ)
    assert code == 78
    wrong = [each for each in lines if each.startswith("failure")]
    assert wrong
    assert wrong[0].partition(": ")[2].startswith(with_chart_values(line))


async def test_a_mail_template_that_does_not_render(tmp_path: Path) -> None:
    """It names the template and the line."""
    (tmp_path / "payment_failed.txt").write_text("Dear {{ customer_name,\n")
    code, lines, _ = await check(RIGHT | MAIL | {"FULFILLMENT_MAIL_TEMPLATES": str(tmp_path)})
    assert code == 78
    assert "failure operator: a mail template does not render: payment_failed.txt, line 1: " in "\n".join(lines)


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str, crd: None) -> AsyncIterator[Shop]:  # noqa: ARG001 - it must be there
    async with open_shop(control_plane, namespace) as shop:
        yield shop


@pytest.mark.parametrize(("environ", "line"), WRONG)
async def test_a_start_refuses_it_with_the_same_words(shop: Shop, environ: dict[str, str], line: str) -> None:
    """What is told offline is what a start of that workload would end at."""
    await shop.control_plane.grant(User.OPERATOR, shop.namespace, RECOVERY_RULES)
    environ = (
        online(shop, User.OPERATOR)
        | {"FULFILLMENT_MANAGEMENT_PORT": "0", "FULFILLMENT_LOG_FORMAT": "console"}
        | environ
    )
    _, lines, _ = await check(environ)
    wrong = next(each for each in lines if each.startswith("failure"))
    workload, _, message = wrong.removeprefix("failure ").partition(": ")
    assert message.startswith(with_chart_values(line))
    assert await fulfillment(environ, workload) == (78, [], f"Error: {message}\n")


def online(shop: Shop, user: User, **more: str) -> dict[str, str]:
    where = {"KUBECONFIG": str(shop.control_plane.kubeconfigs[user]), "FULFILLMENT_NAMESPACE": shop.namespace}
    mail = MAIL | {"FULFILLMENT_SMTP_HOST": shop.mailbox.host, "FULFILLMENT_SMTP_PORT": str(shop.mailbox.port)}
    return RIGHT | mail | {"FULFILLMENT_SMTP_TLS": "none"} | where | {"STRIPE_API_BASE": shop.stripe.url} | more


async def test_online_the_cluster_and_stripe_are_asked(shop: Shop) -> None:
    """With the rights of the chart's Roles all is well."""
    await shop.control_plane.grant(User.SERVICE, shop.namespace, [SERVICE_RULES])
    code, lines, _ = await check(online(shop, User.OPERATOR), "--online", "--settings=operator")
    assert (code, lines[2:]) == (
        0,
        [
            "ok      operator: the mail server takes the connection, and the login",
            f"ok      operator: the API server allows it all in the namespace {shop.namespace}",
            "ok      operator: the backends are ready: log",
            "ok      operator: Stripe knows the API key, in test mode, and lets it read Checkout Sessions and Disputes",
            *lines[6:],
        ],
    )
    assert len(lines) == 7
    code, lines, _ = await check(online(shop, User.SERVICE), "--online", "--settings=service")
    assert (code, lines[1:]) == (
        0,
        [f"ok      service: the API server allows it all in the namespace {shop.namespace}"],
    )


async def test_online_a_missing_right_is_told(shop: Shop) -> None:
    """At the API server, and at Stripe; and so is an endpoint that is not registered."""
    shop.stripe.world.webhook_endpoints = []
    code, lines, _ = await check(online(shop, User.OPERATOR), "--online", "--settings=operator")
    assert code == 0
    assert lines[-1].startswith("warning operator: Stripe has no enabled webhook endpoint in test mode")
    code, lines, _ = await check(
        online(shop, User.NOBODY, STRIPE_API_KEY=POWERLESS_KEY), "--online", "--settings=operator"
    )
    assert code == 78
    assert lines[3] == (
        "failure operator: RBAC does not allow this process to get fulfillmentrequests in the namespace "
        f"{shop.namespace}: give its service account the Role of the chart"
    )
    assert lines[4].startswith("failure operator: Stripe does not allow this API key to read Checkout Sessions")
    assert len(lines) == 5


async def test_online_a_recovery_is_checked(shop: Shop) -> None:
    """What it may do in the cluster, and that Stripe lists events for it: of each account that counts."""
    await shop.control_plane.grant(User.SERVICE, shop.namespace, RECOVERY_RULES)
    accounts = {"STRIPE_ACCOUNTS": "acct_1"}
    code, lines, _ = await check(online(shop, User.SERVICE, **accounts), "--online", "--settings=recover")
    assert (code, lines) == (
        0,
        [
            "ok      recover: the settings are right",
            f"ok      recover: the API server allows it all in the namespace {shop.namespace}",
            "ok      recover: Stripe lets the API key read Events",
        ],
    )
    assert len(shop.stripe.traffic.at("/v1/events")) == 2
    shop.stripe.faults.set([Fail(status=403, account="acct_1"), Fail(status=403, account="acct_3")])
    accounts = {"STRIPE_ACCOUNTS": "acct_1,acct_2,acct_3"}
    code, lines, _ = await check(online(shop, User.SERVICE, **accounts), "--online", "--settings=recover")
    refused = "failure recover: Stripe does not allow this API key to read Events of acct_"
    assert (code, [line[: len(refused) + 1] for line in lines[2:]]) == (78, [f"{refused}1", f"{refused}3"])
    await shop.sell(Order())
    own = online(shop, User.SERVICE, STRIPE_ACCOUNTS=OWN_ACCOUNT)
    code, lines, _ = await check(own, "--online", "--settings=recover")
    refused = f"failure recover: STRIPE_ACCOUNTS (stripe.accounts) names {OWN_ACCOUNT}, which is the API key's own"
    assert (code, [line[: len(refused)] for line in lines[2:]]) == (78, [refused])
    environ = online(shop, User.NOBODY, STRIPE_API_KEY=POWERLESS_KEY)
    code, lines, _ = await check(environ, "--online", "--settings=recover")
    assert code == 78
    assert [line.partition(": ")[2].partition(" in the namespace")[0].partition(": ")[0] for line in lines[1:]] == [
        "RBAC does not allow this process to get fulfillmentrequests",
        "Stripe does not allow this API key to read Events",
    ]


async def test_online_the_mail_server_is_asked(shop: Shop, unused_tcp_port: int) -> None:
    """Whether it is there, and takes the login: no mail is sent."""
    login = {"FULFILLMENT_SMTP_USERNAME": "shop", "FULFILLMENT_SMTP_PASSWORD": "wrong"}
    async with mailbox(login=("shop", "secret")) as strict:
        server = {"FULFILLMENT_SMTP_HOST": strict.host, "FULFILLMENT_SMTP_PORT": str(strict.port)}
        environ = online(shop, User.OPERATOR, **server, **login)
        code, lines, _ = await check(environ, "--online", "--settings=operator")
        assert (code, lines[2]) == (
            78,
            (
                "failure operator: the mail server refused the login with 535: mend FULFILLMENT_SMTP_USERNAME "
                "(mail.smtp.existingSecret) and _PASSWORD"
            ),
        )
        right = environ | {"FULFILLMENT_SMTP_PASSWORD": "secret"}
        assert (await check(right, "--online", "--settings=operator"))[0] == 0
        assert not strict.mails
    nobody = environ | {"FULFILLMENT_SMTP_PORT": str(unused_tcp_port)}
    code, lines, _ = await check(nobody, "--online", "--settings=operator")
    assert (code, lines[2]) == (
        78,
        (
            "failure operator: the mail server cannot be reached (SMTPConnectError): see FULFILLMENT_SMTP_HOST "
            "(mail.smtp.host), _PORT and _TLS, and whether a NetworkPolicy lets the pod reach it"
        ),
    )


async def test_routes_for_the_other_mode_are_told() -> None:
    """They are no mistake, since the same routes may serve a test shop and a live one."""
    routes = "[{name: donations, when: {livemode: true}, backend: manual}]"
    code, lines, _ = await check(RIGHT | {"FULFILLMENT_ROUTES": routes}, "--settings=operator")
    assert (code, lines[1]) == (
        0,
        (
            "ok      operator: FULFILLMENT_ROUTES (backend.routes): route 1 (donations) takes no order here: it is for "
            "livemode true, and STRIPE_API_KEY (stripe.existingSecret) is a key of test mode"
        ),
    )
