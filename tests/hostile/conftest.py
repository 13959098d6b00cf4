from tests.in_process import aws, table_definition, variables

__all__ = ["aws", "table_definition", "variables"]
