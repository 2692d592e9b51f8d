"""What holds for every test."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background leaves this to all processes under it: none would hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
