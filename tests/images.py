"""An image, built by the steps of the Dockerfile without an engine: a Debian with Python stands for its base."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from tests.databases import ROOT

PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"


def sh(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


class Image:
    """The file system of a stage of the Dockerfile, and what its instructions say."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.user = "0:0"
        self.folder = "/"
        self.entrypoint: list[str] = []
        self.check: list[str] = []

    def run(self, instruction: str, rest: str, stages: dict[str, "Image"]) -> None:
        match instruction:
            case "COPY":
                self._copy(*shlex.split(rest), stages=stages)
            case "RUN":
                sh("chroot", self.root, "env", "-i", *self.variables(), "sh", "-ec", rest)
            case "ENV":
                for name, value in (each.split("=", 1) for each in shlex.split(rest)):
                    self.environment[name] = value.replace("$PATH", self.environment["PATH"])
            case "WORKDIR":
                self.folder = rest
            case "USER":
                self.user = rest
            case "ENTRYPOINT":
                self.entrypoint = json.loads(rest)
            case "HEALTHCHECK":
                self.check = json.loads(rest.removeprefix("CMD "))
            case _:
                assert instruction in ("VOLUME", "EXPOSE"), instruction

    def variables(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.environment.items()]

    def _copy(self, *arguments: str, stages: dict[str, "Image"]) -> None:
        *options, source, target = arguments
        origin = ROOT
        if options:
            origin = stages[options[0].removeprefix("--from=")].root
        else:
            allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
            assert any(fnmatch(source, name) for name in allowed), f"{source} is not in the context"
        to = self.root / target.removeprefix("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        found = origin / source.removeprefix("/")
        sh("cp", "-a", *([found] if found.is_file() else ["-T", found]), to)


@contextmanager
def built(folder: Path) -> Iterator[Image]:
    """The image of the Dockerfile."""
    base = folder / "base.tar"
    sh("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", base)
    stages: dict[str, Image] = {}
    image = Image(folder)
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    try:
        for line in text.splitlines():
            instruction, _, rest = line.strip().partition(" ")
            if instruction == "FROM":
                name = rest.partition(" AS ")[2] or "last"
                image = stages[name] = Image(folder / name)
                image.root.mkdir()
                sh("tar", "-xf", base, "-C", image.root)
                (image.root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
                for path in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):  # to install from here
                    shutil.copyfile(f"/{path}", image.root / path)
            elif instruction not in ("", "#", "ARG"):
                image.run(instruction, rest, stages)
        yield image
    finally:
        for stage in stages.values():
            shutil.rmtree(stage.root)


MOUNTS = """
mount --bind {root} {root}
mount --rbind /dev {root}/dev
mount -t proc proc {root}/proc
mount --bind {data} {root}/data
mount -o remount,bind,ro {root}
mount -t tmpfs tmpfs {root}/tmp
exec chroot --userspec={user} {root} env -i {variables} sh -c {command}
"""


def container(image: Image, data: Path, command: Sequence[str], **environment: str) -> list[str]:
    """The command that runs another one in an image, as an engine would with --read-only and a volume."""
    variables = [*image.variables(), *(f"{name}={value}" for name, value in environment.items())]
    script = MOUNTS.format(
        root=image.root,
        data=data,
        user=image.user,
        variables=shlex.join(variables),
        command=shlex.quote(f"cd {image.folder} && exec {shlex.join(command)}"),
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script]
