"""The lattice of consistency models."""

from __future__ import annotations

import pytest

from seatrial.checkers.transactions import models


def test_the_lattice_has_no_loose_ends() -> None:
    """Every name used is known, and nothing is stronger than itself."""
    for model, weaker in models.WEAKER.items():
        assert set(weaker) <= models.MODELS, model
    assert set(models.FORBIDS) <= models.MODELS
    for model in models.FORBIDS:
        stronger_too = models.forbidden([model])
        for weaker_model in models.WEAKER[model]:
            assert models.forbidden([weaker_model]) <= stronger_too, (model, weaker_model)


@pytest.mark.parametrize(
    ("anomalies", "weakest"),
    [
        (["G0"], ("read-uncommitted",)),
        (["G1a"], ("read-committed",)),
        (["G1b"], ("read-committed",)),
        (["G-single"], ("consistent-view",)),
        (["G-nonadjacent"], ("repeatable-read", "snapshot-isolation")),
        (["G2-item"], ("repeatable-read",)),
        (["G2-item", "lost-update"], ("cursor-stability", "update-atomic")),
        (["internal"], ("causal-transactional", "read-atomic")),
        (["G-single-process"], ("strong-session-snapshot-isolation",)),
        (["G-single-realtime"], ("strong-snapshot-isolation",)),
        (["G1c-realtime"], ("strong-read-committed",)),
        (["G0-realtime"], ("strong-read-uncommitted",)),
        (["G2-item-realtime"], ("strict-serializable",)),
        (["cyclic-versions"], ("read-uncommitted",)),
    ],
)
def test_anomalies_rule_out_their_weakest_models(
    anomalies: list[str], weakest: tuple[str, ...]
) -> None:
    """As Adya, Cerone and Gotsman, Daudjee and Salem, and Elle have them."""
    not_, also_not = models.boundary(anomalies)
    expected = {m for m in weakest if m != "causal-transactional"}
    assert expected <= set(not_)
    assert "strict-serializable" in (*not_, *also_not)
    assert not set(not_) & set(also_not)


def test_what_may_still_hold_is_the_strongest_left() -> None:
    """Write skew leaves snapshot isolation."""
    assert "strong-snapshot-isolation" in models.still_possible(["G2-item"])
    assert models.still_possible([]) == ("strict-serializable",)


def test_models_have_many_names() -> None:
    """Adya's, Jepsen's keywords, and underscores."""
    assert models.canonical("PL-SS") == "strict-serializable"
    assert models.canonical(":strong-serializable") == "strict-serializable"
    assert models.canonical("snapshot_isolation") == "snapshot-isolation"
