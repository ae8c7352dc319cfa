from enum import StrEnum


class Language(StrEnum):
    EN = "en"
    ZH_CN = "zh-CN"
    ZH_HK = "zh-HK"

    def __str__(self) -> str:
        return str(self.value)
