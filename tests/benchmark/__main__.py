"""`python -m tests.benchmark`: what requests cost, what others wait, what a long list and a second process add."""

from argparse import ArgumentParser

from tests.benchmark import processes, scaling, speed, stalls

DATABASES = ("sqlite", "postgresql")


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    parser = ArgumentParser(
        prog="python -m tests.benchmark",
        description="Measure the product; prints Markdown tables. PostgreSQL is the server of TODO_TEST_DATABASE_URL,"
        " else one that is started for the run and does not wait for the disk.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    costs = commands.add_parser("speed", help="each kind of request over HTTP by wrk, beside a bare function (3 min)")
    costs.add_argument("--rows", type=numbers, default=[100_000], help="sizes of the table (default: 100000)")
    costs.add_argument("--clients", type=numbers, default=[1, 16, 64, 256], help="default: 1,16,64,256")
    costs.add_argument("--seconds", type=int, default=1, help="for each figure (default: %(default)s)")
    costs.set_defaults(run=speed.main, quick_values={"rows": [1000], "clients": [16]})

    pages = commands.add_parser("scaling", help="pages of a large list next to those of a small one (10 min)")
    pages.add_argument("--small", type=int, default=1000, help="default: %(default)s")
    pages.add_argument("--large", type=int, default=1_000_000, help="default: %(default)s")
    pages.add_argument("--explain", action="store_true", help="show the plans of what costs over 5 times as much")
    pages.set_defaults(run=scaling.main, quick_values={"large": 50_000})

    more = commands.add_parser("processes", help="two processes next to one, each with a share of a core (1 min)")
    more.add_argument("--clients", type=int, default=16, help="default: %(default)s")
    more.add_argument("--seconds", type=int, default=3, help="for each figure (default: %(default)s)")
    more.set_defaults(run=processes.main, quick_values={"seconds": 1})

    waits = commands.add_parser("stalls", help="how long others wait while one client asks for what takes long (5 min)")
    waits.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    waits.set_defaults(run=stalls.main, quick_values={"rows": 50_000})

    for command in (costs, pages, more, waits):
        command.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES, help="default: both")
        command.add_argument("--quick", action="store_true", help="fewer figures of smaller tables")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(options.quick_values)
    options.run(options)


if __name__ == "__main__":
    main()
