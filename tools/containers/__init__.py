"""The API in containers, as on Lambda: `sam local start-api`, with S3 and DynamoDB on this machine."""
