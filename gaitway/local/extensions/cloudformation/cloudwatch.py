"""AWS::CloudWatch::CompositeAlarm."""

from gaitway.local.extensions.cloudformation.handlers import Created, Handler, generated_name
from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.local.services import Json, call_cloudwatch


def _create(logical_id: str, properties: Json, stack_name: str) -> Created:
    return _put(properties.get("AlarmName") or generated_name(stack_name, logical_id), properties)


def _update(name: str, old: Json, new: Json, stack_name: str) -> Created:
    return _put(new.get("AlarmName") or name, new)


def _put(name: str, properties: Json) -> Created:
    call_cloudwatch("PutCompositeAlarm", {**properties, "AlarmName": name})
    return name, {"Arn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT_ID}:alarm:{name}"}


def _delete(name: str, properties: Json) -> None:
    call_cloudwatch("DeleteAlarms", {"AlarmNames": [name]})


HANDLERS: dict[str, Handler] = {
    "AWS::CloudWatch::CompositeAlarm": {"create": _create, "update": _update, "delete": _delete},
}
