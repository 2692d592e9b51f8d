"""AWS::Logs::QueryDefinition. Ref returns its id."""

from gaitway.local.extensions import saved_queries
from gaitway.local.extensions.cloudformation.batch import to_api
from gaitway.local.extensions.cloudformation.handlers import Created, Handler
from gaitway.local.services import Json


def _create(logical_id: str, properties: Json, stack_name: str) -> Created:
    return _created(saved_queries.put(_to_api(properties)))


def _update(definition_id: str, old: Json, new: Json, stack_name: str) -> Created:
    return _created(saved_queries.put(_to_api(new) | {"queryDefinitionId": definition_id}))


def _to_api(properties: Json) -> Json:
    parameters = [to_api(parameter) for parameter in properties.get("Parameters", [])]
    return to_api(properties) | {"parameters": parameters}


def _created(definition_id: str) -> Created:
    return definition_id, {"QueryDefinitionId": definition_id}


def _delete(definition_id: str, properties: Json) -> None:
    saved_queries.delete(definition_id)


HANDLERS: dict[str, Handler] = {
    "AWS::Logs::QueryDefinition": {"create": _create, "update": _update, "delete": _delete},
}
