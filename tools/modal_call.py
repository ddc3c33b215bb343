"""The near side of `runner: modal`: hands a line of orders to the deployed app, and its answers back.

Arguments: `check APP`, whose exit code is 4 where the app is not there, or `run APP GPU SECONDS`. The end of the input before the answer
cancels the call.
"""

import json
import os
import sys
import threading

CLASS = "Duel"
ABSENT = 4


def fail(kind, message, code=0):
    """Answers as a far side does that could not run its job."""
    for answer in ({"begun": {"host": "Modal", "protections": None}}, {"failed": {kind: message}}):
        print(json.dumps(answer), flush=True)
    os._exit(code)


def main():
    try:
        import modal
        from modal.exception import AuthError, NotFoundError
        from modal.exception import TimeoutError as TooLong
    except ImportError as error:
        fail("missing", f"python3 has no Modal client ({error}): pip install modal")
    verb, app = sys.argv[1:3]
    try:
        duel = modal.Cls.from_name(app, CLASS)
        if verb == "check":
            duel.hydrate()
            return
        gpu, seconds = sys.argv[3], float(sys.argv[4])
        orders = sys.stdin.buffer.readline()
        options = {} if gpu == "cpu" else {"gpu": gpu}
        call = duel.with_options(timeout=int(seconds) + 120, **options)().run.spawn(orders, seconds)

        def gone():
            sys.stdin.buffer.read()
            call.cancel()
            os._exit(1)

        threading.Thread(target=gone, daemon=True).start()
        result = call.get()
    except AuthError as error:
        fail("missing", f"no valid credentials ({error}): run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET")
    except NotFoundError as error:
        fail("missing", f"the app {app} of this build is not deployed ({error}): run `agent deploy`", ABSENT)
    except TooLong as error:
        fail("timed_out", f"the call took longer than it may ({error})")
    except Exception as error:
        fail("failed", f"{type(error).__name__}: {error}")
    if result["timed_out"]:
        fail("timed_out", f"the job gave no answer in its {seconds:.0f} s")
    sys.stdout.buffer.write(result["stdout"])
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(result["stderr"])
    print(f"agent job ended with exit code {result['exit_code']}", file=sys.stderr, flush=True)
    os._exit(0)


main()
