"""bench: the benchmark of the source checkout, `bench/`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

_CHECKOUT = Path(__file__).parents[2]


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="Example: fhir-server bench read search-code --database sqlite --seconds 10",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(*, arguments: tuple[str, ...]) -> None:
    """Measure reads, searches, creates and transactions of a server of its own, through HTTP, gate and audit on."""
    if not (_CHECKOUT / "bench" / "__main__.py").exists():
        raise click.ClickException("The benchmark comes with the source checkout, not with the installed package.")
    sys.path.insert(0, str(_CHECKOUT))
    try:
        benchmark = importlib.import_module("bench.__main__")
    except ImportError as error:
        raise click.ClickException(f"The benchmark needs {error.name}; the test packages have it: make test") from error
    benchmark.main(arguments)
