from enum import StrEnum


class TokenType(StrEnum):
    ALIPAY_AUTO_DEBIT = "AlipayAutoDebit"
    CREDIT_CARD = "CreditCard"
    WECHAT_PAY_AUTO_DEBIT = "WechatPayAutoDebit"

    def __str__(self) -> str:
        return str(self.value)
