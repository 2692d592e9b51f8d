"""What a job definition may say about its nodes."""

from gaitway.local.extensions.batch.errors import ClientError
from gaitway.local.services import Json


def check_node_properties(properties: Json) -> None:
    """Check a definition.

    Raises:
        ClientError: docs.aws.amazon.com/batch/latest/APIReference/API_NodeProperties.html does not allow it.
    """
    num_nodes, main_node = int(properties["numNodes"]), int(properties["mainNode"])
    if not 0 <= main_node < num_nodes:
        raise ClientError(f"mainNode is {main_node}, which must be fewer than numNodes, {num_nodes}")
    covered = {
        index for item in properties["nodeRangeProperties"] for index in node_range(item["targetNodes"], num_nodes)
    }
    if covered != set(range(num_nodes)):
        raise ClientError(f"nodeRangeProperties must account for all nodes (0:{num_nodes - 1})")
    if any("container" not in item for item in properties["nodeRangeProperties"]):
        raise ClientError("only node ranges with container are supported by the embedded AWS Batch")


def check_number(num_nodes: int, properties: Json) -> None:
    """Check an overridden number of nodes, by the three conditions of API_NodeOverrides.html."""
    names = [item["targetNodes"] for item in properties["nodeRangeProperties"]]
    open_ended = [name for name in names if name.endswith(":")]
    if not open_ended:
        raise ClientError("numNodes can be overridden only where a node range has an open upper boundary, such as 0:")
    if any(int(name.partition(":")[0] or 0) >= num_nodes for name in open_ended):
        raise ClientError(f"numNodes is {num_nodes}, which must exceed the lower boundary of each node range")
    if int(properties["mainNode"]) >= num_nodes:
        raise ClientError(f"numNodes is {num_nodes}, which must exceed mainNode, {properties['mainNode']}")


def node_range(target_nodes: str, num_nodes: int) -> range:
    """Read a range of nodes such as `0:3`, whose ends may be left out.

    docs.aws.amazon.com/batch/latest/APIReference/API_NodeRangeProperty.html
    """
    first, colon, last = target_nodes.partition(":")
    start = int(first or 0)
    stop = (int(last) + 1 if last else num_nodes) if colon else start + 1
    return range(start, min(stop, num_nodes))
