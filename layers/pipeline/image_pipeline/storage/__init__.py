"""The DynamoDB table and the S3 bucket. Only this package imports boto3."""
