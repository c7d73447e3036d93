"""A line of JSON when ready, then one answer per line that comes: how a script is told what to do by its owner."""

import json
import sys
import traceback


def obey(commands):
    """Serves until the input ends. What a command returns is its answer; what it raises is an answer as well."""
    # Whatever else prints would be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = commands[request.pop("command")](**request) or {}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), file=answers, flush=True)
