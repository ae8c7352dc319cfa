"""Add files from outside docs/ to the site. mkdocs.yml names this file as a hook."""  # noqa: INP001

import os
import tarfile
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Where the links of CONTRIBUTING.md lead on the site.
LINKS = {
    "](docs/contributing/": "](",
    "](docs/": "](../",
    "](benchmarks/RESULTS.md": "](../background/performance.md",
}
# The scripts in the npm packages that noxfile.py downloads, and their names on the site.
SCRIPTS = {
    "mermaid-*.tgz": ("package/dist/mermaid.min.js", "javascripts/mermaid.js"),
    "iframe-worker-*.tgz": ("package/shim/index.js", "javascripts/iframe-worker.js"),
}
# The clients inherit a constructor with a type variable for `transport`. Each page shows the type that it stands for.
TRANSPORT_VARIABLE = '<span title="wonder_payment._base.TransportT">TransportT</span>'
TRANSPORTS = {
    "reference/clients.md": 'httpx.BaseTransport | Literal["fast"]',
    "reference/async-client.md": 'httpx.AsyncBaseTransport | Literal["fast"]',
}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the chart, CONTRIBUTING.md and the scripts. MkDocs calls this."""
    root = Path(config.config_file_path).parent
    chart = root / "benchmarks" / "polling.svg"
    files.append(File.generated(config, f"contributing/{chart.name}", abs_src_path=str(chart)))
    text = (root / "CONTRIBUTING.md").read_text()
    for link, on_site in LINKS.items():
        text = text.replace(link, on_site)
    files.append(File.generated(config, "contributing/index.md", content=text))
    for package, (member, name) in SCRIPTS.items():
        (archive,) = Path(os.environ["SITE_SCRIPTS"]).glob(package)
        with tarfile.open(archive) as package_files, package_files.extractfile(member) as script:
            files.append(File.generated(config, name, content=script.read()))


def on_post_page(output: str, page: Page, **_others: object) -> str:
    """Replace the type variable of the clients' constructor. MkDocs calls this."""
    transport = TRANSPORTS.get(page.file.src_uri)
    return output.replace(TRANSPORT_VARIABLE, escape(transport)) if transport else output
