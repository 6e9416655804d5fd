"""`required-version`: versions are compared with specifiers exactly as in `packaging`."""

from __future__ import annotations

import pytest

from telepathy_lint.discovery.version_specifiers import SpecifierError, matches

packaging = pytest.importorskip("packaging.specifiers")
versions = pytest.importorskip("packaging.version")

VERSIONS = (
    "0.1.0", "0.1", "0.1.1", "0.2.0", "0.2.0rc1", "0.2.0.dev3", "0.2a1.dev1", "0.2.post1", "0.2.post1.dev2", "0.10.0", "1.0",
    "1.0+abc.2", "1!0.1", "0.2b2", "0.2.0-1", "v0.2.0", "0.2.0alpha1",
)  # fmt: skip
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "~=", "===")


def disputed(wanted: str, version: str) -> bool:
    """Releases of `packaging` differ on `<0.2.post1` and `>0.2rc1`, for another version of 0.2."""
    wanted_key, key = versions.Version(wanted), versions.Version(version)
    plain = wanted_key.is_prerelease is wanted_key.is_postrelease is False
    return not plain and versions.Version(wanted_key.base_version) == versions.Version(key.base_version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator_agrees_with_packaging(operator: str, version: str) -> None:
    for other in VERSIONS:
        text = f"{operator}{other}"
        if operator in ("<", ">") and disputed(other, version):
            continue
        try:
            expected = packaging.SpecifierSet(text)
        except packaging.InvalidSpecifier:
            with pytest.raises(SpecifierError):
                matches(text, version)
            continue
        assert matches(text, version) == expected.contains(version, prereleases=True), text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "text", ["==0.2.*", "!=0.2.*", "== 0.*", ">=0.1,<0.3", ">=0.1, !=0.2.*", "==1!0.*", "==0.2.0.*", "~=0.1.0", ">=0.1,"]
)  # fmt: skip
def test_prefixes_and_several_clauses_agree_with_packaging(text: str, version: str) -> None:
    assert matches(text, version) == packaging.SpecifierSet(text).contains(version, prereleases=True)


def test_a_bare_version_means_that_one() -> None:
    assert matches("0.1", "0.1.0")
    assert not matches("0.1", "0.1.1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "new",
        ">=",
        "=>0.1",
        ">=0.1.*",
        "~=1",
        "==0.1rc1.*",
        "<=0.1+x",
        ">=0.1,latest",
        "<0.1 0.2",
        "==" + "9" * 40,
        "≥1",
    ],
)
def test_what_is_no_specifier_is_refused(text: str) -> None:
    with pytest.raises(SpecifierError):
        matches(text, "0.1.0")
