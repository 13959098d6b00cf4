"""The process of the emulator. It corrects one fault of ministack 1.5.33.

When a nested stack is updated, ministack forgets the attributes of its unchanged resources, so a GetAtt of one of them
fails.
"""

from ministack.app import main
from ministack.services.cloudformation import _stacks, provisioners

_update_resource = provisioners._update_resource  # noqa: SLF001 - see above


def _update(kind: str, physical_id: str, old: object, new: object, stack: str, *rest: object) -> object:
    logical_id, attributes = (*rest, None, None)[:2]
    if not attributes and stack in _stacks:
        attributes = _stacks[stack]["_resources"].get(logical_id, {}).get("Attributes")
    return _update_resource(kind, physical_id, old, new, stack, logical_id, attributes)


if __name__ == "__main__":
    provisioners._update_resource = _update  # noqa: SLF001 - see above
    main()
