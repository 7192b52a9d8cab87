"""The dashboard as Grafana takes it."""

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from fulfillment_monitoring.panels import SOURCE, draw
from fulfillment_monitoring.rows import ROWS

_FIRING = 'ALERTS{namespace="$namespace",alertname=~"Checkout.*",alertstate="firing"}'


def dashboard() -> str:
    """Write the dashboard as the JSON that Grafana takes. The chart fills `${runbooks}`."""
    page = (
        Dashboard("Checkout fulfillment")
        .uid("checkout-fulfillment")
        .description("Orders of Stripe Checkout, and how checkout-fulfillment fulfills them.")
        .tags(["checkout-fulfillment", "stripe"])
        .time("now-24h", "now")
        .timezone("browser")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            QueryVariable("namespace")
            .label("Namespace")
            .datasource(SOURCE)
            .query("label_values(fulfillment_build_info, namespace)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
        )
        .link(
            DashboardLink("Runbooks")
            .type(models.DashboardLinkType.LINK)
            .url("${runbooks}")
            .target_blank(target_blank=True)
        )
        .annotation(
            AnnotationQuery()
            .name("Alerts")
            .datasource(SOURCE)
            .enable(enable=True)
            .icon_color("red")
            .target(prometheus.Dataquery().ref_id("Alerts").expr(_FIRING))
            .expr(_FIRING)
            .title_format("{{alertname}}")
            .text_format("{{reason}}")
        )
    )
    number = 0
    for title, panels in ROWS:
        number += 1
        page.with_row(Row(title).id(number))
        for panel in panels:
            number += 1
            page.with_panel(draw(panel, number))
    return JSONEncoder(indent=2, sort_keys=True).encode(page.build()) + "\n"
