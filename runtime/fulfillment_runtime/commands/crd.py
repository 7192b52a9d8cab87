"""`fulfillment crd`: prints the CustomResourceDefinition."""

import click
import yaml

from fulfillment_api.crd import custom_resource_definition
from fulfillment_runtime.examples import examples


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: YAML's anchors are for no reader of a CustomResourceDefinition."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


@click.command(epilog=examples("fulfillment crd | kubectl apply -f -"))
def command() -> None:
    """Print the CustomResourceDefinition, for `kubectl apply -f -`."""
    click.echo(yaml.dump(custom_resource_definition(), Dumper=_Plain, sort_keys=False, width=110), nl=False)
