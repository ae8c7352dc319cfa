from enum import StrEnum


class TokenType(StrEnum):
    ALIPAYAUTODEBIT = "AlipayAutoDebit"
    CREDITCARD = "CreditCard"
    WECHATPAYAUTODEBIT = "WechatPayAutoDebit"

    def __str__(self) -> str:
        return str(self.value)
