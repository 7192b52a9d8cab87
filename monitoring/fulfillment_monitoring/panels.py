"""How a panel looks in Grafana. Nothing here knows what is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import assert_never

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as drawing
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = drawing.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Whichever data source a person chooses at the top of the page."""

_CELLS_OF_STAT = 4
_CELLS_OF_GRAPH = 8
_GREEN, _ORANGE, _RED = "green", "orange", "red"


@unique
class Unit(StrEnum):
    """Grafana's names of units."""

    COUNT = "short"
    PER_MINUTE = "cpm"
    SECONDS = "s"
    BYTES = "bytes"
    CORES = "none"


@unique
class Bad(StrEnum):
    """When a single figure turns red, or orange."""

    NEVER = "never"
    AT_LEAST_ONE = "at-least-one"
    NONE = "none"
    OTHER_THAN_ONE = "other-than-one"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called; Grafana fills `{{label}}`."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, large."""

    title: str
    description: str
    query: Query
    unit: Unit
    width: int
    bad: Bad = Bad.NEVER
    runbook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Lines over time, or bars that stand on each other."""

    title: str
    description: str
    queries: Sequence[Query]
    unit: Unit
    width: int
    stacked: bool = False
    runbook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A histogram over time."""

    title: str
    description: str
    query: Query
    unit: Unit
    width: int


Panel = Figure | Graph | Heat
Drawn = stat.Panel | timeseries.Panel | heatmap.Panel


def draw(panel: Panel, number: int) -> Drawn:
    """Make Grafana's panel, with a number that nothing else on the page has."""
    match panel:
        case Figure():
            drawn: Drawn = _figure(panel)
        case Graph():
            drawn = _graph(panel)
        case Heat():
            drawn = _heat(panel)
        case _:
            assert_never(panel)
    drawn.id(number).title(panel.title).description(panel.description).datasource(SOURCE)
    drawn.unit(panel.unit).span(panel.width)
    return drawn


def _figure(panel: Figure) -> stat.Panel:
    drawn = (
        stat.Panel()
        .height(_CELLS_OF_STAT)
        .with_target(_target(panel.query, "A").instant())
        .graph_mode(drawing.BigValueGraphMode.NONE)
        .color_mode(drawing.BigValueColorMode.BACKGROUND)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(_steps(panel.bad)))
        .links(_links(panel.runbook))
    )
    return drawn if panel.unit is Unit.SECONDS else drawn.decimals(0)


def _graph(panel: Graph) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .height(_CELLS_OF_GRAPH)
        .min(0)
        .legend(common.VizLegendOptions().display_mode(drawing.LegendDisplayMode.LIST).show_legend(show_legend=True))
        .tooltip(common.VizTooltipOptions().mode(drawing.TooltipDisplayMode.MULTI).sort(drawing.SortOrder.DESCENDING))
        .links(_links(panel.runbook))
    )
    for letter, query in zip("ABC", panel.queries, strict=False):
        drawn.with_target(_target(query, letter).range())
    if panel.stacked:
        drawn.draw_style(drawing.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
        drawn.stacking(common.StackingConfig().mode(drawing.StackingMode.NORMAL))
    else:
        drawn.fill_opacity(10).show_points(drawing.VisibilityMode.AUTO)
    return drawn


def _heat(panel: Heat) -> heatmap.Panel:
    shades = heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Oranges").fill("dark-orange")
    return (
        heatmap.Panel()
        .height(_CELLS_OF_GRAPH)
        .calculate(calculate=False)
        .color(shades.steps(64).exponent(0.5))
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .with_target(_target(panel.query, "A").range().format(PromQueryFormat.HEATMAP))
    )


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).datasource(SOURCE)
    return target.expr(query.expression).legend_format(query.legend)


def _links(runbook: str | None) -> list[Builder[models.DashboardLink]]:
    if runbook is None:
        return []
    link = DashboardLink(f"Runbook {runbook}").type(models.DashboardLinkType.LINK)
    return [link.url("${runbooks}/" + f"{runbook}.md").target_blank(target_blank=True)]


def _steps(bad: Bad) -> list[models.Threshold]:
    match bad:
        case Bad.NEVER:
            colors: list[tuple[float | None, str]] = [(None, "blue")]
        case Bad.AT_LEAST_ONE:
            colors = [(None, _GREEN), (1, _RED)]
        case Bad.NONE:
            colors = [(None, _RED), (1, _GREEN)]
        case Bad.OTHER_THAN_ONE:
            colors = [(None, _RED), (1, _GREEN), (2, _ORANGE)]
        case _:
            assert_never(bad)
    return [models.Threshold(value=value, color=color) for value, color in colors]
