from tests.in_process import aws, quiet, table_definition, variables

__all__ = ["aws", "quiet", "table_definition", "variables"]
