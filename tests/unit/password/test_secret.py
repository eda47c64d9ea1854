import pickle

import pytest

from pydovecot.password.secret import Secret


def test_a_secret_is_never_shown() -> None:
    secret = Secret(b"tiger")
    assert repr(secret) == str(secret) == f"{secret}" == "<hidden>"
    assert "tiger" not in repr([secret, {"x": secret}])
    assert secret.reveal() == b"tiger"


def test_secrets_compare_by_value_and_cannot_leave_the_process() -> None:
    assert Secret(b"a") == Secret.of_text("a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"
    assert not Secret(b"")
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Secret(b"x"))
    with pytest.raises(TypeError):
        hash(Secret(b"x"))
