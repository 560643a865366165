"""The `fhir-server` command (interfaces.md §2): one module per group of commands; `COMMANDS` is the registry.

A command's module is imported when that command runs, so `--help` and `serve` start without the rest.
"""

from __future__ import annotations

import click

from fhir_server.cli.frame import Commands, Group

COMMANDS: Commands = {
    "init": ("schema:init", "Create the database schema, or upgrade it."),
    "seed": ("seeding:seed", "Load the demo data, all invented."),
    "serve": ("serving:serve", "Serve FHIR, the authorization server and the portal."),
    "worker": ("background:worker", "Run background jobs."),
    "load": ("loading:load", "Load resources from NDJSON and Bundle files."),
    "export": ("exporting:export", "Write the record to NDJSON files, one per type."),
    "reindex": ("reindexing:reindex", "Rebuild index rows from content while serving."),
    "explain": ("explaining:explain", "Show how the database answers a search."),
    "client": ("clients:client", "OAuth clients."),
    "key": ("signing_keys:key", "Keys that sign ID tokens."),
    "user": ("people:user", "Accounts of people."),
    "token": ("tokens:token", "Access tokens for scripts and load tests."),
    "audit": ("auditing:audit", "The tamper-evident audit log."),
    "nhs-login-stand-in": ("nhs_login_stand_in:nhs_login_stand_in", "Stand in for NHS login, for demo and tests."),
    "cis2-stand-in": ("cis2_stand_in:cis2_stand_in", "Stand in for NHS CIS2, for demo and tests."),
    "ehr-stand-in": ("ehr_stand_in:ehr_stand_in", "Stand in for a hospital's record system, for demo and tests."),
    "config": ("configuration:config", "Print every setting."),
    "bench": ("benchmark:bench", "Measure this server's speed."),
}


@click.group(cls=Group, commands_by_name=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fhir-server")
def main() -> None:
    """Run and look after a FHIR health record server."""
