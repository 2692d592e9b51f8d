"""Widgets of a dashboard, in one style."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch

WIDTH = 24
"""Width of the page in columns."""
HEIGHT = 6
"""Height of a graph in rows."""


def text(markdown: str, *, width: int = WIDTH, height: int = 1) -> cloudwatch.IWidget:
    """Write Markdown."""
    return cloudwatch.TextWidget(markdown=markdown, width=width, height=height)


def graph(
    title: str,
    left: Sequence[cloudwatch.IMetric],
    *,
    unit: str,
    limit: tuple[float, str] | None = None,
    right: Sequence[cloudwatch.IMetric] = (),
    right_unit: str = "",
    right_limit: tuple[float, str] | None = None,
    stacked: bool = False,
    start: str | None = None,
    from_zero: bool = True,
    width: int = WIDTH // 3,
) -> cloudwatch.IWidget:
    """Draw metrics.

    Args:
        title: What the graph shows.
        left: Metrics on the left axis.
        unit: Unit of that axis.
        limit: A limit on that axis: value and label.
        right: Metrics on the right axis.
        right_unit: Unit of that axis.
        right_limit: As `limit`.
        stacked: Whether the metrics add up to something.
        start: Beginning of the graph's period, whatever period the page shows.
        from_zero: Whether the left axis begins at 0 instead of the lowest value.
        width: In columns, of the page's 24.
    """
    return cloudwatch.GraphWidget(
        title=title,
        left=[*left],
        left_y_axis=cloudwatch.YAxisProps(label=unit, show_units=False, min=0 if from_zero else None),
        left_annotations=_annotations(limit),
        right=[*right],
        right_y_axis=cloudwatch.YAxisProps(label=right_unit, show_units=False, min=0) if right else None,
        right_annotations=_annotations(right_limit),
        stacked=stacked,
        start=start,
        width=width,
        height=HEIGHT,
    )


def _annotations(limit: tuple[float, str] | None) -> list[cloudwatch.HorizontalAnnotation]:
    return [cloudwatch.HorizontalAnnotation(value=limit[0], label=limit[1])] if limit else []
