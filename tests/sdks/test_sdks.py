"""The clients that other generators generate, and what type checkers say of all of them."""

import os
import sys
from importlib.resources import files
from pathlib import Path
from shutil import copy, rmtree

import pytest

from tests.databases import SQLite
from tests.sdks.running import (
    SDKS,
    SHORT_STORY,
    STORY,
    described_server,
    run_openapi_python_client,
    run_program,
    run_python_client,
)

pytestmark = pytest.mark.slow

ANNOTATIONS = "/usr/share/java/geronimo-annotation-1.3-spec.jar"
"""From the Debian package libgeronimo-annotation-1.3-spec-java: `javax.annotation`, which the JDK no longer has."""
STRICT = ("--strict", "--skipLibCheck", "--target", "es2022", "--types", "node")
NODE = ("--module", "nodenext")
TYPESCRIPT_GENERATORS = {
    "openapi_fetch": ("openapi-typescript", "openapi.json", "--output", "schema.ts"),
    "hey_api": ("openapi-ts", "--input", "openapi.json", "--output", "hey_api_sdk"),
}
"""The command that generates what the client of that name imports."""


def openapi_generator() -> str:
    """The file with the program; it also holds the Jackson that the Java client needs."""
    return str(files("openapi_generator_cli") / "openapi-generator.jar")


def run_openapi_generator(generator: str, document: Path, output: Path, *options: str) -> None:
    paths = ("--input-spec", document, "--output", output)
    run_program("java", "-jar", openapi_generator(), "generate", "--generator-name", generator, *paths, *options)


def check_types(client: str, folder: Path) -> None:
    """Have mypy check the calls of a client against the package that was generated into the folder."""
    # Not with the settings of this project, where the package is not there and counts as untyped.
    options = ("--config-file=", "--strict", "--follow-imports=silent", "--cache-dir", folder / "types")
    run_program(sys.executable, "-m", "mypy", *options, "-m", f"tests.sdks.{client}", MYPYPATH=str(folder))


def test_a_client_of_openapi_python_client_works_and_is_typed(folder: Path, sqlite_backend: SQLite) -> None:
    with described_server(folder, sqlite_backend.migrated()) as (server, document):
        run_openapi_python_client(document, folder)

        assert run_python_client("openapi_python_client", folder, server) == STORY
    check_types("openapi_python_client", folder)


def test_a_python_client_of_openapi_generator_works_and_is_typed(folder: Path, sqlite_backend: SQLite) -> None:
    with described_server(folder, sqlite_backend.migrated()) as (server, document):
        run_openapi_generator("python", document, folder, "--package-name", "todo_sdk")

        assert run_python_client("openapi_generator", folder, server) == STORY
    check_types("openapi_generator", folder)


def test_a_java_client_of_openapi_generator_works(folder: Path, sqlite_backend: SQLite) -> None:
    sdk, classes = folder / "sdk", folder / "classes"
    libraries = os.pathsep.join([openapi_generator(), ANNOTATIONS])
    with described_server(folder, sqlite_backend.migrated()) as (server, document):
        # Without containerDefaultToNull a new UpdateTodoItem holds an empty set, and to send it clears the tags.
        properties = "containerDefaultToNull=true,openApiNullable=false,useSingleRequestParameter=true"
        options = ("--library", "native", "--additional-properties", properties)
        run_openapi_generator("java", document, sdk, *options)
        sources = (SDKS / "Main.java", *sdk.glob("src/main/**/*.java"))
        run_program("javac", "-d", classes, "-classpath", libraries, *sources)

        told = run_program("java", "-classpath", os.pathsep.join([str(classes), libraries]), "Main", server.url)
        assert told == STORY


def test_a_go_client_of_openapi_generator_works(folder: Path, sqlite_backend: SQLite) -> None:
    sdk = folder / "sdk"
    with described_server(folder, sqlite_backend.migrated()) as (server, document):
        run_openapi_generator("go", document, sdk)
        rmtree(sdk / "test")  # which needs a module of tests
        module = sdk / "go.mod"
        module.write_text(module.read_text().replace("go 1.23", "go 1.19"))  # Debian's; it uses nothing newer
        (sdk / "story").mkdir()
        copy(SDKS / "story.go", sdk / "story")

        environment = {"GOPROXY": "off", "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod"}
        assert run_program("go", "run", "./story", server.url, folder=sdk, **environment) == SHORT_STORY


def test_a_ruby_client_of_openapi_generator_works(folder: Path, sqlite_backend: SQLite) -> None:
    with described_server(folder, sqlite_backend.migrated()) as (server, document):
        run_openapi_generator("ruby", document, folder / "sdk")

        told = run_program("ruby", "-I", folder / "sdk" / "lib", SDKS / "story.rb", server.url)
        assert told == SHORT_STORY


def test_a_php_client_of_openapi_generator_works(folder: Path, sqlite_backend: SQLite) -> None:
    with described_server(folder, sqlite_backend.migrated()) as (server, document):
        run_openapi_generator("php", document, folder / "sdk")
        copy(SDKS / "story.php", folder / "sdk")

        assert run_program("php", folder / "sdk" / "story.php", server.url) == SHORT_STORY


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generators, the compiler and the libraries of package-lock.json."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        copy(SDKS / name, folder)
    run_program("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    return folder / "node_modules"


@pytest.mark.parametrize("client", TYPESCRIPT_GENERATORS)
def test_a_typescript_client_works_and_is_typed(
    client: str, node_modules: Path, folder: Path, sqlite_backend: SQLite
) -> None:
    (folder / "node_modules").symlink_to(node_modules)
    for source in (f"{client}.ts", "story.ts"):
        copy(SDKS / source, folder)
    generator, *options = TYPESCRIPT_GENERATORS[client]
    with described_server(folder, sqlite_backend.migrated()) as (server, _):
        run_program(node_modules / ".bin" / generator, *options, folder=folder)
        run_program(node_modules / ".bin" / "tsc", *STRICT, *NODE, f"{client}.ts", folder=folder)

        assert run_program("node", f"{client}.js", server.url, folder=folder) == STORY


def test_a_client_of_swagger_typescript_api_works_and_is_typed(
    node_modules: Path, folder: Path, sqlite_backend: SQLite
) -> None:
    (folder / "node_modules").symlink_to(node_modules)
    copy(SDKS / "swagger_typescript_api.ts", folder)
    with described_server(folder, sqlite_backend.migrated()) as (server, _):
        generator = node_modules / ".bin" / "swagger-typescript-api"
        run_program(
            generator, "generate", "-p", "openapi.json", "-o", ".", "-n", "swagger_typescript_api_sdk.ts", folder=folder
        )
        run_program(node_modules / ".bin" / "tsc", *STRICT, *NODE, "swagger_typescript_api.ts", folder=folder)

        assert run_program("node", "swagger_typescript_api.js", server.url, folder=folder) == SHORT_STORY


COMPILED = {
    "oazapfts": (("oazapfts", "openapi.json", "oazapfts.ts"), ("oazapfts.ts",)),
    "orval": (("orval", "--config", "orval.config.cjs"), ("orval_fetch.ts", "orval_zod.ts")),
    "kubb": (("kubb", "generate", "--config", "kubb.config.mjs"), ("kubb/index.ts",)),
}
"""Commands that generate, and the files of TypeScript that they write."""


@pytest.mark.parametrize(("command", "files"), COMPILED.values(), ids=COMPILED.keys())
def test_what_further_generators_write_compiles(
    command: tuple[str, ...], files: tuple[str, ...], node_modules: Path, folder: Path, sqlite_backend: SQLite
) -> None:
    (folder / "node_modules").symlink_to(node_modules)
    for configuration in ("orval.config.cjs", "kubb.config.mjs"):
        copy(SDKS / configuration, folder)
    with described_server(folder, sqlite_backend.migrated()):
        run_program(node_modules / ".bin" / command[0], *command[1:], folder=folder)

    bundled = ("--module", "esnext", "--moduleResolution", "bundler", "--allowImportingTsExtensions", "--noEmit")
    run_program(node_modules / ".bin" / "tsc", *STRICT, *bundled, *files, folder=folder)
