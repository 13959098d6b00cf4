from tests.oidc_issuer import issuer

__all__ = ["issuer"]
