"""ministack 1.5.33, with what it lacks for relays.

The CloudFormation types EIP, NatGateway and SecurityGroupEgress, without which our templates do not
come up with a fixed address; a Runtime API that takes streamed answers which are not UTF-8, where
its own ends with an exception; and no waiting: for log lines that a relay does not write, and for
acknowledgements between two halves of an event. All are patches of its internals, so the version is
exact.
"""

import json
import socketserver
import sys

from ministack.core import lambda_runtime
from ministack.services import ec2
from ministack.services.cloudformation import provisioners


def field(answer, name):
    """One element of an answer in XML."""
    body = answer[2] if isinstance(answer, tuple) else answer
    text = body.decode() if isinstance(body, bytes) else str(body)
    return text.split(f"<{name}>", 1)[1].split("<", 1)[0]


def create_address(_logical_id, _properties, _stack):
    answer = ec2._allocate_address({"Domain": ["vpc"]})
    address = field(answer, "publicIp")
    return address, {"AllocationId": field(answer, "allocationId"), "PublicIp": address}


def delete_address(physical_id, _properties):
    for allocation, address in list(ec2._addresses.items()):
        if address["PublicIp"] == physical_id:
            ec2._release_address({"AllocationId": [allocation]})


def create_nat(_logical_id, properties, _stack):
    asked = {name: [properties[name]] for name in ("SubnetId", "AllocationId")}
    nat = field(ec2._create_nat_gateway(asked), "natGatewayId")
    return nat, {"NatGatewayId": nat}


def delete_nat(physical_id, _properties):
    ec2._delete_nat_gateway({"NatGatewayId": [physical_id]})


def create_egress(logical_id, _properties, stack):
    return f"{stack}-{logical_id}", {}


def delete_egress(_physical_id, _properties):
    """Nothing was made."""


provisioners._RESOURCE_HANDLERS.update(
    {
        "AWS::EC2::EIP": {"create": create_address, "delete": delete_address},
        "AWS::EC2::NatGateway": {"create": create_nat, "delete": delete_nat},
        "AWS::EC2::SecurityGroupEgress": {"create": create_egress, "delete": delete_egress},
    }
)


class Raw(str):
    """Bytes in the guise of the text that ministack expects; encoding it gives them back."""

    def encode(self, *_):
        return self.raw


class Json:
    """The module, but bytes that are no text are handed on instead of refused."""

    def __getattr__(self, name):
        return getattr(json, name)

    def loads(self, body, *arguments, **named):
        try:
            return json.loads(body, *arguments, **named)
        except UnicodeDecodeError:
            raw = Raw(body.decode("utf-8", "replace"))
            raw.raw = bytes(body)
            return raw


lambda_runtime.json = Json()

wait_for_logs = lambda_runtime.Worker._drain_stderr_bounded
wait_for_logs.__defaults__ = (0.0, *wait_for_logs.__defaults__[1:])
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

if __name__ == "__main__":
    from ministack.app import main

    sys.exit(main())
