"""Which image of an owner has which file and prompt, if the parameter Duplicates is `find`.

An item per digest names the first image with it. The transaction that stores an image writes the item. The transaction
that deletes the image removes it, and an item of an image that expires has the same expiry. An item may still name an
image that is gone, for example if DynamoDB has removed only the image. Then the file counts as unknown, and the next
image with it takes the item over. Other images with the same file have no item.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from image_pipeline import settings
from image_pipeline.models import digest
from image_pipeline.storage import keys, table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import DeleteTypeDef, PutTypeDef, TransactWriteItemTypeDef


def image_of(owner: str, file: str) -> str | None:
    """Return the id of the image with the digest `file`, or None. The image may be gone. Raises StorageError."""
    item = table.find(keys.file_hash(owner, file))
    return None if item is None else item["image_id"]


def images_of(owner: str, files: Sequence[str]) -> dict[str, str]:
    """Return the image ids of the digests that have an item, by digest. Takes at most 100. Raises StorageError."""
    by_key = {keys.file_hash(owner, file)["pk"]: file for file in files}
    items = table.find_all([keys.file_hash(owner, file) for file in files])
    return {by_key[item["pk"]]: item["image_id"] for item in items}


def file_of(item: table.Item) -> str | None:
    """Return the digest of file and prompt of a finished image by its item. Other items have none."""
    if item["status"] != "success" or "sha256" not in item:
        return None
    return digest(item["sha256"], item.get("caption_prompt", ""))


def added(owner: str, file: str, image_id: str, expires_at: int | None, gone: str | None) -> "TransactWriteItemTypeDef":
    """Return the write that names an image. It fails if the item names another image, unless that is `gone`."""
    item: table.Item = {**keys.file_hash(owner, file), "image_id": image_id}
    if expires_at is not None:
        item["expires_at"] = expires_at
    put: PutTypeDef = {
        "TableName": settings.table_name(),
        "Item": table.serialize(item),
        "ConditionExpression": "attribute_not_exists(pk) OR image_id IN (:image_id, :gone)",
        "ExpressionAttributeValues": table.serialize({":image_id": image_id, ":gone": gone or ""}),
    }
    return {"Put": put}


def removed(owner: str, item: table.Item) -> "list[TransactWriteItemTypeDef]":
    """Return the write that deletes the hash item of an image.

    There is none if the hash item names another image. The write fails if that changes. Raises StorageError.
    """
    file, image_id = file_of(item), keys.image_id(item["pk"])
    # make reindex may add the hash item before the transaction, so one that does not exist yet is deleted too.
    if file is None or image_of(owner, file) not in {None, image_id}:
        return []
    delete: DeleteTypeDef = {
        "TableName": settings.table_name(),
        "Key": table.serialize(keys.file_hash(owner, file)),
        "ConditionExpression": "attribute_not_exists(pk) OR image_id = :image_id",
        "ExpressionAttributeValues": table.serialize({":image_id": image_id}),
    }
    return [{"Delete": delete}]
