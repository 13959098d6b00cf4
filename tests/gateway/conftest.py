from tests.http_api import api

__all__ = ["api"]
