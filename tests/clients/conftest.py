"""One server of each kind for all client tests."""

from collections.abc import Iterator

import pytest

from tests.support.clients import Account, Site, start


@pytest.fixture(scope="session")
def sites() -> Iterator[dict[str, Site]]:
    """Running servers by their kind: both stay to the end, whatever order the tests come in."""
    made: dict[str, Site] = {}
    yield made
    for site in made.values():
        site.close()


@pytest.fixture(scope="session", params=["real-users", "ordinary-user"])
def site(request: pytest.FixtureRequest, sites: dict[str, Site]) -> Site:
    """A running server, once for all tests of its kind."""
    kind: str = request.param
    if kind not in sites:
        sites[kind] = start(kind)
    return sites[kind]


@pytest.fixture
def account(site: Site) -> Account:
    """A new user of the site, with mail in INBOX and Work."""
    return site.account()
