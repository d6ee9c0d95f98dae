"""Makes the documentation's site, as the container serves it.

In a directory CONTEXT, outside the checkout's tracked files, that holds this one's files::

    npm ci --ignore-scripts --prefix CONTEXT
    .venv/bin/python dockerfiles/apidocs/build.py CONTEXT/site

The renderer is taken from ``node_modules`` beside the site or, where there is none, beside this
file. ``site/public`` is what is served;
the container's start adds ``openapi.json``, from the template and the parameters beside it.
"""

import gzip
import shutil
import sys
from pathlib import Path

from document import openapi_template, parameters

_HERE = Path(__file__).parent
_PAGE_FILES = ("index.html", "page.js", "page.css", "favicon.svg")
_RENDERER_FILES = {
    "bundles/redoc.standalone.js.LICENSE.txt": "redoc.js.LICENSE.txt",
    "LICENSE": "redoc.LICENSE.txt",
}
_RENDERER = "bundles/redoc.standalone.js"
_FOREIGN_IMAGE = '"https://cdn.redoc.ly/redoc/logo-mini.svg"'
"""The one thing that the renderer loads from another host; it hides an image that is none."""
_NO_IMAGE = '"data:,"'


def build(site: Path) -> None:
    """Write the site; what was there before is removed.

    Raises:
        ValueError: the renderer is not the one that this was written for.
        OSError: the renderer is not there, or a file cannot be written.
    """
    shutil.rmtree(site, ignore_errors=True)
    public = site / "public"
    public.mkdir(parents=True)
    (site / "openapi.json.template").write_text(openapi_template(), encoding="utf-8")
    (site / "parameters").write_text(parameters(), encoding="utf-8")
    for name in _PAGE_FILES:
        shutil.copyfile(_HERE / name, public / name)
    package = _package(site.parent)
    for source, name in _RENDERER_FILES.items():
        shutil.copyfile(package / source, public / name)
    renderer = _renderer(package / _RENDERER)
    (public / "redoc.js").write_bytes(renderer)
    # A fixed time, so that the same input makes the same file.
    (public / "redoc.js.gz").write_bytes(gzip.compress(renderer, mtime=0))


def _package(context: Path) -> Path:
    modules = context / "node_modules"
    return (modules if modules.exists() else _HERE / "node_modules") / "redoc"


def _renderer(path: Path) -> bytes:
    text = path.read_text(encoding="utf-8")
    if text.count(_FOREIGN_IMAGE) != 1:
        raise ValueError(f"{path} does not name {_FOREIGN_IMAGE} once: look what it loads now")
    return text.replace(_FOREIGN_IMAGE, _NO_IMAGE).encode()


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
