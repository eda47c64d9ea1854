"""One server of each kind for all client tests."""

from collections.abc import Iterator

import pytest

from tests.support.clients import Account, Site, start


@pytest.fixture(scope="session", params=["real-users", "ordinary-user"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A running server, once for all tests of its kind."""
    made = start(request.param)
    yield made
    made.close()


@pytest.fixture
def account(site: Site) -> Account:
    """A new user of the site, with mail in INBOX and Work."""
    return site.account()
