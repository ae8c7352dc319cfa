from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.check_payment_token_request import CheckPaymentTokenRequest
from ...models.check_payment_token_response import CheckPaymentTokenResponse
from ...models.error_response import ErrorResponse
from ...models.language import Language
from ...types import UNSET, Response, Unset


def _get_kwargs(
    customer_uuid: str = "uuid",
    *,
    body: CheckPaymentTokenRequest,
    x_request_id: str | Unset = UNSET,
    x_i18n_lang: Language | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(x_request_id, Unset):
        headers["X-Request-ID"] = x_request_id

    if not isinstance(x_i18n_lang, Unset):
        headers["x-i18n-lang"] = str(x_i18n_lang)

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/svc/payment/api/v1/openapi/customers/{customer_uuid}/payment_tokens/check".format(
            customer_uuid=quote(str(customer_uuid), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> CheckPaymentTokenResponse | ErrorResponse | None:
    if response.status_code == 200:
        response_200 = CheckPaymentTokenResponse.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = ErrorResponse.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = ErrorResponse.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorResponse.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ErrorResponse.from_dict(response.json())

        return response_404

    if response.status_code == 422:
        response_422 = ErrorResponse.from_dict(response.json())

        return response_422

    if response.status_code == 429:
        response_429 = ErrorResponse.from_dict(response.json())

        return response_429

    if response.status_code == 500:
        response_500 = ErrorResponse.from_dict(response.json())

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[CheckPaymentTokenResponse | ErrorResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    customer_uuid: str = "uuid",
    *,
    client: AuthenticatedClient | Client,
    body: CheckPaymentTokenRequest,
    x_request_id: str | Unset = UNSET,
    x_i18n_lang: Language | Unset = UNSET,
) -> Response[CheckPaymentTokenResponse | ErrorResponse]:
    """Check customer payment token state

     When you create a card, you need to wait until the card holder completes 3ds validation and you can
    call the Check API to check the validation status.

    Args:
        customer_uuid (str):  Default: 'uuid'.
        x_request_id (str | Unset):
        x_i18n_lang (Language | Unset):
        body (CheckPaymentTokenRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CheckPaymentTokenResponse | ErrorResponse]
    """

    kwargs = _get_kwargs(
        customer_uuid=customer_uuid,
        body=body,
        x_request_id=x_request_id,
        x_i18n_lang=x_i18n_lang,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    customer_uuid: str = "uuid",
    *,
    client: AuthenticatedClient | Client,
    body: CheckPaymentTokenRequest,
    x_request_id: str | Unset = UNSET,
    x_i18n_lang: Language | Unset = UNSET,
) -> CheckPaymentTokenResponse | ErrorResponse | None:
    """Check customer payment token state

     When you create a card, you need to wait until the card holder completes 3ds validation and you can
    call the Check API to check the validation status.

    Args:
        customer_uuid (str):  Default: 'uuid'.
        x_request_id (str | Unset):
        x_i18n_lang (Language | Unset):
        body (CheckPaymentTokenRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CheckPaymentTokenResponse | ErrorResponse
    """

    return sync_detailed(
        customer_uuid=customer_uuid,
        client=client,
        body=body,
        x_request_id=x_request_id,
        x_i18n_lang=x_i18n_lang,
    ).parsed


async def asyncio_detailed(
    customer_uuid: str = "uuid",
    *,
    client: AuthenticatedClient | Client,
    body: CheckPaymentTokenRequest,
    x_request_id: str | Unset = UNSET,
    x_i18n_lang: Language | Unset = UNSET,
) -> Response[CheckPaymentTokenResponse | ErrorResponse]:
    """Check customer payment token state

     When you create a card, you need to wait until the card holder completes 3ds validation and you can
    call the Check API to check the validation status.

    Args:
        customer_uuid (str):  Default: 'uuid'.
        x_request_id (str | Unset):
        x_i18n_lang (Language | Unset):
        body (CheckPaymentTokenRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CheckPaymentTokenResponse | ErrorResponse]
    """

    kwargs = _get_kwargs(
        customer_uuid=customer_uuid,
        body=body,
        x_request_id=x_request_id,
        x_i18n_lang=x_i18n_lang,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    customer_uuid: str = "uuid",
    *,
    client: AuthenticatedClient | Client,
    body: CheckPaymentTokenRequest,
    x_request_id: str | Unset = UNSET,
    x_i18n_lang: Language | Unset = UNSET,
) -> CheckPaymentTokenResponse | ErrorResponse | None:
    """Check customer payment token state

     When you create a card, you need to wait until the card holder completes 3ds validation and you can
    call the Check API to check the validation status.

    Args:
        customer_uuid (str):  Default: 'uuid'.
        x_request_id (str | Unset):
        x_i18n_lang (Language | Unset):
        body (CheckPaymentTokenRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CheckPaymentTokenResponse | ErrorResponse
    """

    return (
        await asyncio_detailed(
            customer_uuid=customer_uuid,
            client=client,
            body=body,
            x_request_id=x_request_id,
            x_i18n_lang=x_i18n_lang,
        )
    ).parsed
