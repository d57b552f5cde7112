"""Images and recordings of a dataset: files whose headers are checked, never decoded here.

A sample's value is ``{"path": …, "sha256": …}``. The digest of a dataset only includes the content,
so moving a dataset does not change it. Media without a file (from the Hub or from Parquet) are held
as ``{"content": …}`` until the samples are drawn; those are stored in the cache by sha256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any, Literal

from permille.assets import cache_folder
from permille.errors import DatasetError
from permille.output import write_whole

Medium = Literal["image", "audio"]

MAX_BYTES = 64 << 20
MAX_PIXELS = 64_000_000
"""The most pixels of an image; a decompression bomb of a few kB can claim billions."""
MAX_SECONDS = 600.0
"""The longest recording."""
# No others: Pillow reads many more formats, and runs Ghostscript for one of them (EPS).
IMAGES = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_NEEDS = {"image": ("PIL", "vision"), "audio": ("soundfile", "audio")}


class BadMedium(ValueError):
    """The reason why a file cannot be used."""


def check_installed(medium: Medium) -> None:
    """Check that the library that reads such files is installed.

    Raises:
        DatasetError: it is not; the message has the command that installs it.
    """
    module, extra = _NEEDS[medium]
    if importlib.util.find_spec(module) is None:
        raise DatasetError(
            f"{medium} files are read with {module}: pip install 'permille[{extra}]'"
        )


def reference(text: str, root: Path, medium: Medium) -> dict[str, str]:
    """The file that ``text`` names inside ``root``, with its header checked.

    Raises:
        BadMedium: it is outside ``root`` (symlinks resolved), missing, or not of that kind.
    """
    try:
        path = (root / text).resolve()
        inside = path.is_relative_to(root.resolve())
        size = path.stat().st_size if inside and path.is_file() else None
    # ValueError: a null character; RuntimeError: a loop of links (Path.resolve before Python 3.13).
    except (OSError, ValueError, RuntimeError) as error:
        raise BadMedium(f"{text[:60]!r} is not a path") from error
    if not inside:
        raise BadMedium(f"{text[:60]!r} leaves the dataset's folder")
    if size is None:
        raise BadMedium(f"no file {text[:60]!r}")
    if size > MAX_BYTES:
        raise BadMedium(f"{text[:60]!r} is larger than {MAX_BYTES >> 20} MiB")
    _check(path, path.name, medium)
    return {"path": str(path)}


def held(content: bytes, medium: Medium) -> dict[str, Any]:
    """``content`` as a sample's value, with its header checked; :func:`with_digest` stores it.

    Raises:
        BadMedium: too large, or not of that kind.
    """
    if len(content) > MAX_BYTES:
        raise BadMedium(f"larger than {MAX_BYTES >> 20} MiB")
    _check(io.BytesIO(content), f"the {medium}", medium)
    return {"content": content}


def keep(content: bytes, medium: Medium) -> dict[str, str]:
    """Store ``content`` as a file in the cache, with its header checked.

    Raises:
        BadMedium: too large, or not of that kind.
    """
    return _keep(held(content, medium)["content"])


def _keep(content: bytes) -> dict[str, str]:
    sha256 = hashlib.sha256(content).hexdigest()
    folder = cache_folder() / "media"
    # By its digest: an image that occurs in many datasets, or is drawn again, is stored once.
    path = folder / sha256
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return {"path": str(path), "sha256": sha256}


def with_digest(value: Any) -> Any:
    """A media value with the sha256 of its content, in a file; any other value unchanged."""
    if not is_reference(value) or "sha256" in value:
        return value
    if "content" in value:
        return _keep(value["content"])
    with Path(value["path"]).open("rb") as stream:
        return value | {"sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def is_reference(value: Any) -> bool:
    """Whether a sample's value is an image or a recording."""
    return isinstance(value, dict) and ("path" in value or "content" in value)


def read(value: dict[str, str]) -> bytes:
    """The content of a media value.

    Raises:
        DatasetError: the file is missing, or has changed since the study was planned.
    """
    path = Path(value["path"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != value.get("sha256"):
        raise DatasetError(f"{path} has changed since the study was planned")
    return content


def _check(file: Path | io.BytesIO, name: str, medium: Medium) -> None:
    check = _check_image if medium == "image" else _check_audio
    check(file, repr(name[:60]))


def _check_image(file: Path | io.BytesIO, name: str) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # The limit is ours, below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=IMAGES) as image:  # reads only the header
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise BadMedium(f"{name} has too many pixels") from error
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise BadMedium(f"{name} is not an image in a supported format") from error
    except SyntaxError as error:  # Pillow's exception for a broken PNG
        raise BadMedium(f"{name} is a broken image") from error
    if width * height > MAX_PIXELS:
        raise BadMedium(f"{name} has too many pixels, {width}×{height}")


def _check_audio(file: Path | io.BytesIO, name: str) -> None:
    import soundfile

    try:
        info = soundfile.info(str(file) if isinstance(file, Path) else file)
    except (soundfile.LibsndfileError, OSError) as error:
        raise BadMedium(f"{name} is not a recording in a supported format") from error
    if not 0 < info.duration <= MAX_SECONDS:
        raise BadMedium(f"{name} lasts {info.duration:g} s; the limit is {MAX_SECONDS:g} s")
