"""Multi-node parallel jobs: from definition and overrides to each node.

docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
"""

from collections.abc import Iterator

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.extensions.batch.model import Job, NodeDetails, NodeProperties
from gaitway.local.extensions.batch.node_ranges import check_number, node_range
from gaitway.local.extensions.batch.overrides import container_of
from gaitway.local.extensions.batch.resources import arn
from gaitway.local.services import Json

MAIN_NODE_ADDRESS = "127.0.0.1"
"""All nodes are processes of this machine."""


def node_properties(definition: Json, overrides: Json, parameters: dict[str, str]) -> NodeProperties:
    """Put a submission's overrides over the definition's nodes.

    Raises:
        ClientError: They do not go together:
            docs.aws.amazon.com/batch/latest/APIReference/API_NodeOverrides.html.
    """
    properties: Json = definition["nodeProperties"]
    ranges = {item["targetNodes"]: item for item in properties["nodeRangeProperties"]}
    num_nodes = int(overrides.get("numNodes") or properties["numNodes"])
    if "numNodes" in overrides:
        check_number(num_nodes, properties)
    by_range = {item["targetNodes"]: item for item in overrides.get("nodePropertyOverrides", [])}
    # github.com/aws/aws-parallelcluster/pull/964 quotes this answer.
    if unknown := by_range.keys() - ranges.keys():
        raise ClientError(
            f"NodeOverride targets should match job definition. Non matching targets - {', '.join(sorted(unknown))}"
        )
    return NodeProperties.model_validate(
        {
            "numNodes": num_nodes,
            "mainNode": properties["mainNode"],
            "nodeRangeProperties": [
                item
                | {"container": container_of(item["container"], _container_overrides(by_range.get(name)), parameters)}
                for name, item in ranges.items()
            ],
        }
    )


def nodes_of(job: Job) -> Iterator[Job]:
    """Make the nodes of a multi-node parallel job, which are addressed as `<job id>#<node>`."""
    properties = job.node_properties
    assert properties is not None
    for index in range(properties.num_nodes):
        # Ranges may be nested: the narrower one counts (API_NodeRangeProperty.html).
        narrowest = min(
            (item for item in properties.node_range_properties if index in _span(item.target_nodes, properties)),
            key=lambda item: len(_span(item.target_nodes, properties)),
        )
        job_id = node_id(job.job_id, index)
        yield job.model_copy(
            update={
                "job_id": job_id,
                "job_arn": arn("job", job_id),
                "container": narrowest.container.model_copy(deep=True),
                "node_properties": None,
                "node_details": NodeDetails(node_index=index, is_main_node=index == properties.main_node),
                "attempts": [],
            }
        )


def node_id(job_id: str, index: int) -> str:
    """Return the id with which a node is described."""
    return f"{job_id}#{index}"


def node_variables(job: Job, index: int) -> dict[str, str]:
    """Return the variables for a node's container: docs.aws.amazon.com/batch/latest/userguide/mnp-env-vars.html."""
    properties = job.node_properties
    assert properties is not None
    variables = {
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": str(properties.main_node),
        "AWS_BATCH_JOB_NODE_INDEX": str(index),
        "AWS_BATCH_JOB_NUM_NODES": str(properties.num_nodes),
    }
    if index != properties.main_node:
        # Not on the main node itself, says the same page.
        variables["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = MAIN_NODE_ADDRESS
    return variables


def _container_overrides(override: Json | None) -> Json:
    overrides: Json = (override or {}).get("containerOverrides", {})
    return overrides


def _span(target_nodes: str, properties: NodeProperties) -> range:
    return node_range(target_nodes, properties.num_nodes)
