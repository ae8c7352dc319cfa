"""A dependency whose licence asks for something in return, or that has none, is named."""

from typing import Any

import pytest

from release.licences import objections


def sbom(*licences: dict[str, Any], name: str = "some") -> dict[str, Any]:
    return {
        "components": [
            {"name": "good", "licenses": [{"license": {"id": "MIT"}}]},
            {"name": name, "licenses": [*licences]},
        ]
    }


@pytest.mark.parametrize(
    "licence",
    [
        {"license": {"id": "Apache-2.0"}},
        {"license": {"name": "License :: OSI Approved :: BSD License"}},
        {"expression": "Apache-2.0 OR BSD-3-Clause"},
        {"expression": "GPL-3.0-or-later OR MIT"},
        {"expression": "MIT AND PSF-2.0"},
    ],
)
def test_a_permissive_licence_will_do(licence: dict[str, Any]) -> None:
    assert objections(sbom(licence)) == []


@pytest.mark.parametrize(
    ("licence", "text"),
    [
        ({"license": {"id": "GPL-3.0-or-later"}}, "GPL-3.0-or-later"),
        ({"license": {"id": "LGPL-2.1-only"}}, "LGPL-2.1-only"),
        ({"license": {"id": "AGPL-3.0-only"}}, "AGPL-3.0-only"),
        ({"license": {"id": "MPL-2.0"}}, "MPL-2.0"),
        ({"license": {"name": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"}}, "GPLv3"),
        ({"license": {"name": "the licence of our house"}}, "of our house"),
        ({"expression": "MIT AND GPL-2.0-only"}, "MIT AND GPL-2.0-only"),
        ({"expression": "GPL-2.0-only WITH Classpath-exception-2.0"}, "WITH Classpath"),
    ],
)
def test_any_other_is_named(licence: dict[str, Any], text: str) -> None:
    (told,) = objections(sbom({"license": {"id": "MIT"}}, licence))
    assert told.startswith("some has the licence ")
    assert text in told


def test_a_component_without_a_licence_is_named() -> None:
    assert objections(sbom()) == ["some has no licence"]


def test_certifi_alone_may_have_the_mozilla_licence() -> None:
    mozilla = {"license": {"id": "MPL-2.0"}}
    assert objections(sbom(mozilla, name="certifi")) == []
    assert objections(sbom({"license": {"id": "GPL-3.0-only"}}, name="certifi")) != []
