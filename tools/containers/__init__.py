"""The API in containers, as Lambda runs it: `sam local start-api` in front of S3 and DynamoDB on this machine."""
