"""Sums up what scripts/test ran: tests/tally.py RESULTS

RESULTS holds `steps` (name, seconds, exit code), and for a step NAME what it left behind: NAME.json
(Meson's test log), NAME.xml (pytest's) or NAME.skipped (a number). Counts test functions where a
program tells them (cmocka's summary, TAP), else programs. The exit code is 1 when anything failed
or nothing ran.
"""

import json
import pathlib
import re
import sys
import xml.etree.ElementTree


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def total(self):
        return self.passed + self.failed + self.skipped


def told_by_program(text):
    """What a test program's output says about its functions, or an empty count."""
    count = Count()
    if re.search(r"^1\.\.\d+", text, re.M):
        for line in re.findall(r"^(?:not )?ok\b.*", text, re.M):
            if re.search(r"# SKIP", line, re.I):
                count.skipped += 1
            elif line.startswith("ok"):
                count.passed += 1
            else:
                count.failed += 1
        return count
    for word, field in (("PASSED", "passed"), ("FAILED", "failed"), ("SKIPPED", "skipped")):
        for number in re.findall(rf"^\[ +{word} +\] (\d+) test\(s\)", text, re.M):
            setattr(count, field, getattr(count, field) + int(number))
    return count


def count_meson(path):
    count = Count()
    for line in path.read_text().splitlines():
        test = json.loads(line)
        one = told_by_program(test.get("stdout", "") + "\n" + test.get("stderr", ""))
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            count.add(one if one.total() else Count(passed=1))
        elif test["result"] == "SKIP":
            count.add(Count(skipped=1))
        else:  # a program that crashed or timed out may have counted no failure itself
            one.failed = max(one.failed, 1)
            count.add(one)
    return count


def count_pytest(path):
    count = Count()
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        number = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        failed = number["failures"] + number["errors"]
        count.add(Count(number["tests"] - failed - number["skipped"], failed, number["skipped"]))
    return count


def count_step(results, name, status):
    count = Count()
    try:
        if (results / f"{name}.json").exists():
            count = count_meson(results / f"{name}.json")
        elif (results / f"{name}.xml").exists():
            count = count_pytest(results / f"{name}.xml")
        elif (results / f"{name}.skipped").exists():
            count = Count(skipped=int((results / f"{name}.skipped").read_text()))
    except (ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
        print(f"{name}: its log cannot be read: {error}")
        status = 1
    if status != 0 and count.failed == 0:
        count.failed = 1  # a build that broke, a run that was stopped
    return count


def main(results):
    total, seconds_of_all = Count(), 0
    print("\n==== summary")
    print(f"{'step':<14} {'passed':>7} {'failed':>7} {'skipped':>7} {'time':>7}")
    for line in (results / "steps").read_text().splitlines():
        name, seconds, status = line.split("\t")
        count = count_step(results, name, int(status))
        numbers = (count.passed, count.failed, count.skipped) if count.total() else ("", "", "")
        print(f"{name:<14} {numbers[0]:>7} {numbers[1]:>7} {numbers[2]:>7} {seconds + ' s':>7}")
        total.add(count)
        seconds_of_all += int(seconds)
    print(f"{'all':<14} {total.passed:>7} {total.failed:>7} {total.skipped:>7} {f'{seconds_of_all} s':>7}")
    if total.passed + total.failed == 0:
        print("nothing ran")
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {total.failed} failed{skipped}")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
