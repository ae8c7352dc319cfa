"""Good settings of a client, and an environment that has them."""

SANDBOX = "https://gateway-stg.wonder.today"
PRODUCTION = "https://gateway.wonder.today"
EXAMPLE = "https://gateway.example"
CUSTOMER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
PASSPHRASE = "correct horse"


def environ(**changes: str | None) -> dict[str, str]:
    """Return a complete environment with these changes; None removes a variable."""
    variables = {"WONDER_APP_ID": "app", "WONDER_PRIVATE_KEY": "a PEM", "WONDER_ENVIRONMENT": "sandbox", **changes}
    return {name: value for name, value in variables.items() if value is not None}
