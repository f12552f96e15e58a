"""Deploys a relay as its users do: a zip into a bucket, and a template from it.

    deploy.py ENDPOINT TEMPLATE NAME FOLDER BINARY [PARAMETER=VALUE…]

FOLDER has relay.toml, BINARY becomes bootstrap. Prints what the stack puts out, as JSON.
"""

import io
import json
import sys
import zipfile

import boto3
from botocore.config import Config


def package(folder, binary):
    """The zip that Lambda wants: a bootstrap that may run, and the configuration beside it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, path in (("bootstrap", binary), ("relay.toml", f"{folder}/relay.toml")):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            with open(path, "rb") as file:
                archive.writestr(entry, file.read())
    return packed.getvalue()


def main(endpoint, template, name, folder, binary, *parameters):
    def client(service):
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )

    storage, stacks = client("s3"), client("cloudformation")
    key = f"{name}.zip"
    storage.create_bucket(Bucket="relays")
    # ministack takes a stack whose zip is missing, so it must be there first.
    storage.put_object(Bucket="relays", Key=key, Body=package(folder, binary))
    given = dict(parameter.split("=", 1) for parameter in parameters)
    given |= {"CodeBucket": "relays", "CodeKey": key, "RelayName": name}
    with open(template, encoding="utf-8") as file:
        body = file.read()
    stacks.create_stack(
        StackName=name,
        TemplateBody=body,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    waiter = stacks.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 150})
    stack = stacks.describe_stacks(StackName=name)["Stacks"][0]
    print(json.dumps({output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
