"""Add the chart in benchmarks/ to the site. mkdocs.yml names this file as a hook."""  # noqa: INP001

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add each chart under its own name. MkDocs calls this."""
    for chart in Path(config.config_file_path).parent.glob("benchmarks/*.svg"):
        files.append(File.generated(config, chart.name, abs_src_path=str(chart)))
