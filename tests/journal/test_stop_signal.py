from __future__ import annotations

import signal
import sys

import pytest
from processes import Process
from waiting import wait_until

READY = (
    "from journal.processes import StopSignal\nstop = StopSignal()\nprint('ready', flush=True)\n"
)
TO_A_THREAD = (
    READY
    + """
import signal, threading, time

def send():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(0.3)

threading.Thread(target=send).start()
print(stop.wait())
"""
)
FLOOD = (
    READY
    + """
import os, subprocess, sys
sender = f"import os, time\\nfor _ in range(2000): os.kill({os.getpid()}, 15); time.sleep(0.0003)"
process = subprocess.Popen([sys.executable, "-c", sender])
arrived = 0
while process.poll() is None:
    arrived += stop.wait(0.0001)
    stop.has_arrived = False
print("signals:", arrived)
"""
)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_waits_goes_on_when_it_is_asked_to_stop(sent: signal.Signals) -> None:
    process = Process([sys.executable, "-c", READY + "print(stop.wait(), stop.wait(0))"])
    wait_until(lambda: "ready" in process.text(), "the process", output=process.output)
    process.send_signal(sent)

    assert process.wait(60) == 0
    assert "True True" in process.text()


def test_without_a_signal_a_wait_ends_with_false() -> None:
    process = Process([sys.executable, "-c", READY + "print(stop.wait(0), stop.wait(0.01))"])

    assert process.wait(60) == 0
    assert "False False" in process.text()


def test_a_signal_that_another_thread_gets_ends_the_wait() -> None:
    process = Process([sys.executable, "-c", TO_A_THREAD])

    assert process.wait(60) == 0
    assert "True" in process.text()


def test_a_signal_at_any_moment_of_a_wait_does_not_stop_the_process() -> None:
    process = Process([sys.executable, "-c", FLOOD])

    assert process.wait(60) == 0
    assert int(process.text().rpartition(" ")[2]) > 1


@pytest.mark.smoke
def test_a_service_ends_with_0_on_sigterm() -> None:
    code = "import time\nfrom journal.processes import exit_on_sigterm\nexit_on_sigterm()\nprint('ready', flush=True)\ntime.sleep(60)"
    process = Process([sys.executable, "-c", code])
    wait_until(lambda: "ready" in process.text(), "the process", output=process.output)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
