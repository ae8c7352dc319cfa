"""What may be quoted of foreign text."""

import base64

import pytest
from conftest import TOKEN
from wonder_payment._redact import redact, without_secrets

SIGNATURE = base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (TOKEN, "…4bed"),
        (TOKEN.upper(), "…4BED"),
        (TOKEN.replace("-", ""), "…4bed"),
        (f"token {TOKEN} is unknown", "token …4bed is unknown"),
        (f'"{TOKEN}"', '"…4bed"'),
        (f"({TOKEN}, {TOKEN})", "(…4bed, …4bed)"),
        (f"令牌{TOKEN}無效", "令牌…4bed無效"),
        ("4111111111111234", "…1234"),
        ("4111 1111 1111 1234", "…1234"),
        ("4111-1111-1111-1234", "…1234"),
        ("4111  1111\n1111\t1234", "…1234"),
        ("4111\u00a01111\u00a01111\u00a01234", "…1234"),
        ("378282246310005", "…0005"),
        ("3782 822463 10005", "…0005"),
        ("6011000990139424123", "…4123"),
        ("card 4111111111111234 declined", "card …1234 declined"),
        ("卡號4111111111111234無效", "卡號…1234無效"),
        # Unprintable characters are dropped, and must not hide a secret.
        ("4111\u200b1111\u200b1111\u200b1234", "…1234"),
        ("4111\x001111\x001111\x001234", "…1234"),
        ("1b9d6bcd-bbfd-4b2d-\x009b5d-ab8dfbbd4bed", "…4bed"),
        (SIGNATURE, f"…{SIGNATURE[-4:]}"),
        (f"Signature: {SIGNATURE}", f"Signature: …{SIGNATURE[-4:]}"),
        ("a\nb", "a b"),
        ("a\r\nERROR forged line", "a ERROR forged line"),
        ("a\x1b[31mb", "a[31mb"),
        ("\x00a\x07\x7f\u202eb\u2028c", "ab c"),
        ("  a \t\v\f b  ", "a b"),
        ("a " * 100, "a " * 99 + "a"),
        ("a " * 101, "a " * 100 + "…"),
        ("請 " * 100_000, "請 " * 100 + "…"),
        ("a" * 100_000, "…"),
        ("", ""),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_quote_is_one_short_line_without_secrets(text: str, quoted: str) -> None:
    assert redact(text) == quoted


@pytest.mark.parametrize(
    "text",
    [
        "Invalid Credential Format.",
        "E000002",
        "3-D Secure was not completed within 300 s (step 2 of 4).",
        "持卡人驗證失敗, 請重試",
        "签名无效: 请检查您的密钥",
        "Retry after 2026-07-22 10:11:12 UTC",
        "amount 1234567.89 HKD exceeds 99999.99",
        "call +852 2123 4567",
        "order 12345678901",
        "ERR_CARD_DECLINED / insufficient_funds",
        "Die Gültigkeit der Karte ist abgelaufen: bitte prüfen",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate",
        "[Errno 111] Connection refused",
    ],
)
def test_an_ordinary_message_is_quoted_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_secrets_are_cut_out_of_a_long_text_too() -> None:
    text = f"a line\nwith {TOKEN} and {SIGNATURE}\n" * 100
    assert without_secrets(text) == f"a line\nwith …4bed and …{SIGNATURE[-4:]}\n" * 100
