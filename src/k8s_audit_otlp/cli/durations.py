"""Durations as an option of a command: `5s`, `1h30m`."""

import click

from k8s_audit_otlp.config.durations import parse_duration


class Duration(click.ParamType[float]):
    """Seconds, written as the configuration writes them."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Duration()
