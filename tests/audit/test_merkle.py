"""The tree against RFC 6962's definition and its published test vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.store.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# Leaves and roots of the test data of Google's certificate-transparency project.
LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes(range(0x60, 0x70)))
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def defined_root(hashes: list[bytes]) -> bytes:
    """Return MTH(D[n]) exactly as RFC 6962 §2.1 defines it."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(defined_root(hashes[:split]), defined_root(hashes[split:]))


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


def test_roots_are_those_of_the_published_vectors() -> None:
    tree = Frontier()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for data, expected in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf_hash(data))
        assert tree.root().hex() == expected


def test_published_inclusion_proof() -> None:
    hashes = [leaf_hash(data) for data in LEAVES]
    proof = inclusion_proof(5, 8, lambda start, end: defined_root(hashes[start:end]))
    assert [step.hex() for step in proof] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proved_and_no_other(size: int, data: st.DataObject) -> None:
    hashes = some_leaves(size)
    root = defined_root(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, lambda start, end: defined_root(hashes[start:end]))
    assert verify_inclusion(hashes[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(hashes[index], index, size, [*proof, root], root)
    assert not verify_inclusion(hashes[index], size, size, proof, root)
    if size > 1:
        assert not verify_inclusion(hashes[index], (index + 1) % size, size, proof, root)
        assert not verify_inclusion(hashes[index], index, size, proof[1:], root)


@given(st.integers(1, 70), st.data())
def test_a_tree_is_proved_to_extend_its_own_past_only(new: int, data: st.DataObject) -> None:
    hashes = some_leaves(new)
    old = data.draw(st.integers(1, new))
    old_root, new_root = defined_root(hashes[:old]), defined_root(hashes)
    proof = consistency_proof(old, new, lambda start, end: defined_root(hashes[start:end]))
    assert verify_consistency(old, old_root, new, new_root, proof)
    other = leaf_hash(b"another past")
    assert not verify_consistency(old, other, new, new_root, proof)
    assert not verify_consistency(old, old_root, new, other, proof)
    if old < new:
        assert not verify_consistency(old, old_root, new, new_root, proof[:-1])


@given(st.integers(0, 300))
def test_a_frontier_has_the_root_of_the_definition(size: int) -> None:
    tree = Frontier()
    for leaf in some_leaves(size):
        tree.append(leaf)
    assert (tree.size, tree.root()) == (size, defined_root(some_leaves(size)))


def test_proofs_of_what_is_not_there_are_refused() -> None:
    def subtree(_start: int, _end: int) -> bytes:
        return EMPTY_ROOT

    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_proof(3, 3, subtree)
    with pytest.raises(ValueError, match="old tree"):
        consistency_proof(0, 3, subtree)
    tree = Frontier()
    tree.append(EMPTY_ROOT)
    with pytest.raises(ValueError, match="multiple"):
        tree.append_subtree(1, EMPTY_ROOT)
