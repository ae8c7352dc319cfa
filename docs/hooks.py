"""Add files from outside docs/ to the site. mkdocs.yml names this file as a hook."""  # noqa: INP001

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# Where the links of CONTRIBUTING.md lead on the site.
LINKS = {
    "](docs/contributing/": "](",
    "](docs/": "](../",
    "](benchmarks/RESULTS.md": "](../background/performance.md",
}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the chart, and CONTRIBUTING.md. MkDocs calls this."""
    root = Path(config.config_file_path).parent
    chart = root / "benchmarks" / "polling.svg"
    files.append(File.generated(config, f"contributing/{chart.name}", abs_src_path=str(chart)))
    text = (root / "CONTRIBUTING.md").read_text()
    for link, on_site in LINKS.items():
        text = text.replace(link, on_site)
    files.append(File.generated(config, "contributing/index.md", content=text))
