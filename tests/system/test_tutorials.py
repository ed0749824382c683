"""What the tutorials tell people to type, typed, and what they say it prints, compared."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, TestCase

from tests.system import consoles
from tests.system.running import ROOT, Running, accepts, environment, folder, until

TUTORIALS = ROOT / "docs" / "tutorials"

PAGE = """Text
```console
$ echo one two
one ...
$ x=3
$ echo $x
3
```
```text
$ not run
```
"""


class ConsoleTests(TestCase):
    """The runner itself: it must be able to fail."""

    def test_commands_are_found_with_what_they_print(self) -> None:
        self.assertEqual(
            list(consoles.sessions(PAGE)),
            [(3, "echo one two", "one ...\n"), (5, "x=3", ""), (6, "echo $x", "3\n")],
        )

    def test_commands_share_a_shell(self) -> None:
        with folder() as place:
            printed = consoles.run(list(consoles.sessions(PAGE)), place, environment())
        self.assertEqual(printed, ["one two\n", "", "3\n"])

    def test_another_output_is_noticed(self) -> None:
        self.assertTrue(consoles.alike("a ...  c\n", "a b c\n"))
        self.assertFalse(consoles.alike("a ... c\n", "a b d\n"))
        self.assertFalse(consoles.alike("a\n", ""))


class FirstSiteTests(TestCase):
    """The first walk, on the built-in site as `./serve` starts it."""

    def test_the_walk(self) -> None:
        commands = list(consoles.sessions((TUTORIALS / "first-site.md").read_text()))
        if missing := consoles.missing(commands):
            raise SkipTest(f"not installed: {', '.join(missing)}")
        self.assertGreater(len(commands), 10)
        until("the site's ports to be free", lambda: not accepts(10053) and not accepts(10080))
        with folder() as place, Running("netsuite", cwd=place) as site:
            site.ready()
            printed = consoles.run(commands, place, environment())
            self.assertEqual(site.end(), 0, site.complaint())
        self.assertEqual(len(printed), len(commands))
        wrong = [
            f"line {each.line}: $ {each.command}\nthe page says:\n{each.expected}it prints:\n{output}"
            for each, output in zip(commands, printed, strict=True)
            if not consoles.alike(each.expected, output)
        ]
        self.assertEqual(wrong, [], "\n".join(wrong))
