"""CloudWatch Logs' saved queries: PutQueryDefinition, DescribeQueryDefinitions and DeleteQueryDefinition.

docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_QueryDefinition.html. They are kept, and not run.
"""

import json
import time
import uuid
from functools import cache
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import cloudwatch_logs

from gaitway.local.services import Json, ServiceError

_STATE_KEY = "gaitway_query_definitions"
_definitions: dict[str, Json] = {}
"""By id."""


def put(request: Json) -> str:
    """Save a query, or change the one whose `queryDefinitionId` is given.

    Returns:
        Its id.

    Raises:
        ServiceError: There is no such query, or it has no name or text.
    """
    definition_id = request.get("queryDefinitionId") or str(uuid.uuid4())
    if "queryDefinitionId" in request and definition_id not in _definitions:
        raise ServiceError(f"ResourceNotFoundException: query definition {definition_id}")
    if not request.get("name") or not request.get("queryString"):
        raise ServiceError("InvalidParameterException: name and queryString are required")
    _definitions[definition_id] = {
        "logGroupNames": [],
        **request,
        "queryDefinitionId": definition_id,
        "lastModified": int(time.time() * 1000),
    }
    return definition_id


def delete(definition_id: str) -> bool:
    """Forget a query.

    Returns:
        Whether there was one.
    """
    return _definitions.pop(definition_id, None) is not None


def _put(request: Json) -> Json:
    return {"queryDefinitionId": put(request)}


def _describe(request: Json) -> Json:
    prefix = request.get("queryDefinitionNamePrefix", "")
    found = [definition for definition in _definitions.values() if definition["name"].startswith(prefix)]
    return {"queryDefinitions": sorted(found, key=lambda definition: str(definition["name"]))}


def _delete(request: Json) -> Json:
    return {"success": delete(request["queryDefinitionId"])}


_ACTIONS = {
    "PutQueryDefinition": _put,
    "DescribeQueryDefinitions": _describe,
    "DeleteQueryDefinition": _delete,
}


@cache
def register() -> None:
    """Add the actions, and what they keep to what is saved when the emulator stops; a second call changes nothing."""
    handle_others, state_of_others = cloudwatch_logs.handle_request, cloudwatch_logs.get_state
    load_others = cloudwatch_logs.load_persisted_state

    async def handle_request(method: str, path: str, headers: Json, body: bytes, query_params: Json) -> Any:  # noqa: ANN401
        action = _ACTIONS.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if action is None:
            return await handle_others(method, path, headers, body, query_params)
        try:
            return json_response(action(json.loads(body or b"{}")))
        except ServiceError as error:
            code, _, message = str(error).partition(": ")
            return error_response_json(code, message, 400)

    def get_state() -> Json:
        return {**state_of_others(), _STATE_KEY: dict(_definitions)}

    def load_persisted_state(state: Json) -> None:
        _definitions.update(state.get(_STATE_KEY, {}))
        load_others(state)

    cloudwatch_logs.handle_request = handle_request
    cloudwatch_logs.get_state = get_state
    cloudwatch_logs.load_persisted_state = load_persisted_state
