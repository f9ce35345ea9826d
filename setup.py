"""A wheel carries the experiments as well, so that `jaxgan train` has them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithExperiments(build_py):
    """Puts experiments/*.py into the package; an editable installation reads the checkout's."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "jaxgan" / "experiments"
        folder.mkdir(parents=True, exist_ok=True)
        for script in Path(__file__).parent.glob("experiments/*.py"):
            shutil.copy(script, folder)


setup(cmdclass={"build_py": BuildWithExperiments})
