"""Fixtures: a lab for each test (lab.py draws it), and tests that run beside the others.

A test marked `beside` mostly waits, for a timeout of the protocol or a long transfer. All of them
start with the session, on threads of their own; their turn in the list only collects the result.
"""

import concurrent.futures
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True

from lab import Lab  # noqa: E402

BESIDE = {}


def pytest_configure(config):
    config.addinivalue_line("markers", "beside: mostly waits; runs on a thread of its own, beside the others")


def pytest_collection_modifyitems(items):
    """Those that run beside are asked last."""
    items.sort(key=lambda item: bool(item.get_closest_marker("beside")))


def run_beside(item):
    arguments = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    lab = Lab()
    try:
        item.obj(lab=lab, **arguments)
    except BaseException:
        item.add_report_section("call", "programs", lab.describe())
        raise
    finally:
        lab.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """How the programs stand when a test fails, while they still run."""
    lab = getattr(item, "funcargs", {}).get("lab")
    if call.when == "call" and call.excinfo and lab:
        item.add_report_section("call", "programs", lab.describe())
    yield


@pytest.fixture(scope="session", autouse=True)
def _beside(request):
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    items = [item for item in request.session.items if item.get_closest_marker("beside")]
    if not items:
        yield
        return
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        BESIDE.update({item.nodeid: pool.submit(run_beside, item) for item in items})
        yield


def pytest_pyfunc_call(pyfuncitem):
    if pyfuncitem.nodeid not in BESIDE:
        return None
    BESIDE[pyfuncitem.nodeid].result(300)
    return True


@pytest.fixture
def lab(request):
    if request.node.get_closest_marker("beside"):
        yield None  # its thread has one
        return
    lab = Lab()
    try:
        yield lab
    finally:
        lab.close()
