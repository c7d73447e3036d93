"""The checks of scim2-tester against a server, one line of JSON for each.

    scim_checks.py <base address>                    (the token stands in the environment as TOKEN)

A status is one of scim2-tester's own: SUCCESS, COMPLIANT, ACCEPTABLE, DEVIATION, ERROR, CRITICAL, SKIPPED.
"""

import json
import os
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server

client = httpx2.Client(base_url=sys.argv[1], headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}, timeout=20)
for check in check_server(SyncSCIMClient(client)):
    line = {
        "status": check.status.name,
        "title": check.title,
        "resource": check.resource_type,
        "reason": check.reason,
        "data": None if check.data is None else str(check.data)[:2000],
    }
    print(json.dumps(line), flush=True)
