"""Runs clients of others against the emulators: nothing of them is ours.

usage: witness.py DEVSTACK [--node FOLDER] [--handler FILE [--update]]

Starts DEVSTACK emulators, asks them as the Kusto SDK for Python, azure-identity and
curl do, and with --node also as the Kusto SDK for JavaScript, Microsoft's query
editor, httpx and MSTICPy. With --handler the built handler copies three tables, and
the cells of docs/analyst.ipynb must print what the file says. Prints one line a check, and at the end how many there were
and how many failed; the exit code is 1 if any did.
"""

import argparse
import atexit
import datetime
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import uuid

parser = argparse.ArgumentParser()
parser.add_argument("devstack")
parser.add_argument("--node", help="folder with the packages of package-lock.json")
parser.add_argument("--handler", help="the built handler, for the notebook")
parser.add_argument("--update", action="store_true", help="store what the notebook's cells print")
arguments = parser.parse_args()

scratch = tempfile.TemporaryDirectory()
settings = os.path.join(scratch.name, "handler.env")
emulators = subprocess.Popen(
    [arguments.devstack, "emulators", "--json", "--scale", "0.01", "--ingest-latency", "100ms", "--patch-days", "--settings", settings],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
)


# However this ends, a failed import or a signal included, nothing stays behind.
@atexit.register
def stop():
    emulators.send_signal(signal.SIGTERM)
    emulators.wait(30)
    scratch.cleanup()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
d = json.loads(emulators.stdout.readline())
# Every library here has a variable of its own for the certificate.
os.environ.update(
    SSL_CERT_FILE=d["caFile"], REQUESTS_CA_BUNDLE=d["caFile"], CURL_CA_BUNDLE=d["caFile"], NODE_EXTRA_CA_CERTS=d["caFile"],
    IDENTITY_ENDPOINT=d["identityEndpoint"], IDENTITY_HEADER=d["identityHeader"],
)

from azure.identity import ClientSecretCredential, ManagedIdentityCredential  # noqa: E402
from azure.kusto.data import ClientRequestProperties, KustoClient, KustoConnectionStringBuilder  # noqa: E402
from azure.kusto.data.exceptions import KustoError  # noqa: E402

checks, failed = 0, 0


def count(ok, name, why=""):
    global checks, failed
    checks += 1
    failed += not ok
    print("ok" if ok else "FAILED", name + (": " + why if why else ""), flush=True)


def check(name):
    """Runs the function under it as a check."""

    def run(function):
        try:
            function()
        except Exception as error:  # whatever a library throws is a finding
            count(False, name, f"{type(error).__name__}: {error}".splitlines()[0][:300])
        else:
            count(True, name)

    return run


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def until(what, ready):
    end = time.monotonic() + 60
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"not within a minute: {what}")
        time.sleep(0.25)


def curl(*options):
    done = subprocess.run(["curl", "-sS", "--compressed", *options], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


application = ClientSecretCredential(d["tenantId"], d["clientId"], d["clientSecret"], authority=d["authority"], disable_instance_discovery=True)
administrator = ManagedIdentityCredential(client_id=d["adminIdentityClientId"])


def kusto(credential):
    return KustoClient(KustoConnectionStringBuilder.with_azure_token_credential(d["kusto"], credential))


def rows(answer):
    return [row.to_dict() for row in answer.primary_results[0]]


def tokens():
    for name, resource in [("graph", "https://graph.microsoft.com"), ("defender", "https://api.securitycenter.windows.com"), ("the cluster", d["kusto"])]:
        check(f"python identity: token for {name}")(lambda: application.get_token(resource + "/.default").token)
    form = f"grant_type=client_credentials&client_id={d['clientId']}&client_secret={d['clientSecret']}"
    for endpoint, resource in [("/oauth2/v2.0/token", "scope=https://graph.microsoft.com/.default"), ("/oauth2/token", "resource=https://graph.microsoft.com")]:

        @check(f"curl: token of {endpoint}, without a Content-Type")
        def _():
            got = curl("-H", "Content-Type:", "--data", f"{form}&{resource}", f"{d['authority']}/{d['tenantId']}{endpoint}")
            same(got.get("token_type"), "Bearer")


def python_kusto():
    client = kusto(application)

    @check("python kusto: query")
    def _():
        got = rows(client.execute_query(d["database"], "print n = 5, s = 'text', j = dynamic({'a': [1]}), r = 1.5, x = decimal(0.0000001)"))
        same([str(got[0][k]) for k in ("n", "s", "j", "r")], ["5", "text", "{'a': [1]}", "1.5"])

    @check("python kusto: query without a database")
    def _():
        same(rows(client.execute_query(None, "print n = 5")), [{"n": 5}])

    @check("python kusto: 50,000 rows")
    def _():
        same(len(rows(client.execute_query(d["database"], "range n from 1 to 50000 step 1"))), 50_000)

    @check("python kusto: parameters and options")
    def _():
        properties = ClientRequestProperties()
        properties.set_parameter("p", 7)
        properties.set_option(properties.request_timeout_option_name, datetime.timedelta(seconds=30))
        properties.set_option("query_take_max_records", 2)
        got = rows(client.execute_query(d["database"], "declare query_parameters(p: long); range n from p to 100 step 1", properties))
        same(got, [{"n": 7}, {"n": 8}])

    for name, query, option, text in [
        ("too many rows", "range n from 1 to 5 step 1", 3, "E_QUERY_RESULT_SET_TOO_LARGE"),
        ("an unknown table", "Nowhere | count", 100, "SEM0100"),
    ]:

        @check(f"python kusto: an error for {name}")
        def _():
            properties = ClientRequestProperties()
            properties.set_option("truncationmaxrecords", option)
            try:
                client.execute_query(d["database"], query, properties)
            except KustoError as error:
                if text not in str(error) + str(error.__dict__):
                    raise
                return
            raise AssertionError("passed")

    @check("python kusto: management")
    def _():
        same(rows(client.execute_mgmt(d["database"], ".show databases details"))[0]["DatabaseName"], d["database"])

    @check("python kusto: a command beyond the caller's rights is an error")
    def _():
        try:
            client.execute_mgmt(d["database"], ".drop table Witness ifexists")
        except KustoError:
            return
        raise AssertionError("passed")


def prepare():
    """Makes what the checks write to, with an administrator's rights."""
    with kusto(administrator) as client:
        for command in [
            ".create-merge table Witness (N: long, By: string)",
            """.create-or-alter table Witness ingestion json mapping "Named" '[{"column":"N","path":"$.n"},{"column":"By","path":"$.by"}]'""",
            ".create-or-alter function WitnessOf(who: string, most: long = 10) { Witness | where By == who | take most }",
        ]:
            client.execute_mgmt(d["database"], command)


def python_ingest():
    from azure.kusto.data.data_format import DataFormat
    from azure.kusto.ingest import IngestionProperties, QueuedIngestClient, ReportLevel, ReportMethod, StreamDescriptor
    from azure.kusto.ingest.status import KustoIngestStatusQueues

    builder = KustoConnectionStringBuilder.with_azure_token_credential(d["kustoIngest"], application)
    client = QueuedIngestClient(builder, auto_correct_endpoint=False)
    queues = KustoIngestStatusQueues(client)
    reader = kusto(application)

    def send(table, by, form, text):
        properties = IngestionProperties(
            database=d["database"], table=table, data_format=form, ingestion_mapping_reference="Named",
            ingestion_mapping_kind=form.ingestion_mapping_kind, report_level=ReportLevel.FailuresAndSuccesses, report_method=ReportMethod.Queue,
        )
        source = uuid.uuid4()
        client.ingest_from_stream(StreamDescriptor(io.BytesIO(text.replace("?", by).encode()), source_id=source), properties)
        return str(source)

    def told(queue, source):
        return lambda: any(m.IngestionSourceId == source for m in queue.pop(n=10))

    for form, text in [(DataFormat.JSON, '{"n":1,"by":"?"}\n{"n":2,"by":"?"}\n'), (DataFormat.MULTIJSON, '[{"n":1,\n"by":"?"},{"n":2,"by":"?"}]')]:
        by = "python " + form.kusto_value

        @check(f"python ingest: {form.kusto_value} with a mapping, told as a success")
        def _():
            source = send("Witness", by, form, text)
            until("two rows", lambda: rows(reader.execute_query(d["database"], f"Witness | where By == '{by}' | count")) == [{"Count": 2}])
            until("a message of success", told(queues.success, source))

    @check("python ingest: an unknown table is told as a failure")
    def _():
        source = send("Nowhere", "nobody", DataFormat.JSON, '{"n":1,"by":"?"}\n')
        until("a message of failure", told(queues.failure, source))


HUNTS = [("graph", "https://graph.microsoft.com", "/v1.0/security/runHuntingQuery", "results"), ("mde", "https://api.securitycenter.microsoft.com", "/api/advancedqueries/run", "Results")]


def curl_checks():
    for name, resource, path, member in HUNTS:

        @check(f"curl: hunting over {name}, compressed")
        def _():
            token = application.get_token(resource + "/.default").token
            got = curl("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", "-d", json.dumps({"Query": "DeviceInfo | take 3"}), d["graph"] + path)
            same(len(got[member]), 3)

    @check("curl: kusto query")
    def _():
        token = application.get_token(d["kusto"] + "/.default").token
        body = json.dumps({"db": d["database"], "csl": "print n = 5"})
        got = curl("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", "-d", body, d["kusto"] + "/v2/rest/query")
        same([f["Rows"] for f in got if f.get("TableKind") == "PrimaryResult"], [[[5]]])


def hunting_clients():
    import httpx

    for name, resource, path, member in HUNTS:

        @check(f"httpx: hunting over {name}")
        def _():
            token = application.get_token(resource + "/.default").token
            got = httpx.post(d["graph"] + path, json={"Query": "DeviceNetworkEvents | take 40"}, headers={"Authorization": f"Bearer {token}"})
            same((got.status_code, len(got.json()[member])), (200, 40))

        @check(f"httpx: an unknown table over {name} is an error")
        def _():
            token = application.get_token(resource + "/.default").token
            got = httpx.post(d["graph"] + path, json={"Query": "Nowhere"}, headers={"Authorization": f"Bearer {token}"})
            same((got.status_code, "error" in got.json()), (400, True))

    from msticpy.data.core.query_defns import DataEnvironment
    from msticpy.data.drivers.mdatp_driver import MDATPDriver

    for environment, root, endpoint in [(DataEnvironment.MDE, d["mde"], "/oauth2/token"), (DataEnvironment.M365DGraph, d["graph"], "/oauth2/v2.0/token")]:

        @check(f"msticpy: {environment.name}")
        def _():
            driver = MDATPDriver(data_environment=environment)
            driver.oauth_url = d["authority"] + "/{tenantId}" + endpoint
            if endpoint == "/oauth2/token":
                driver.req_body.pop("scope", None)
                driver.req_body["resource"] = "https://api.securitycenter.microsoft.com"
            driver.connect(f"tenant_id={d['tenantId']};client_id={d['clientId']};client_secret={d['clientSecret']};apiRoot={root}")
            got = driver.query("DeviceInfo | take 7")
            same((len(got), "DeviceId" in got.columns), (7, True))


def node():
    here = pathlib.Path(__file__).parent
    # Packages are looked for beside the importing file.
    folder = pathlib.Path(arguments.node)
    for name in ("witness.mjs", "resolve.mjs"):
        (folder / name).write_bytes((here / name).read_bytes())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as description:
        json.dump(d, description)
        description.flush()
        done = subprocess.run(["node", "witness.mjs", description.name], cwd=folder, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("ok", "FAILED"):
            count(word == "ok", rest)
    if done.returncode != 0:
        count(False, "javascript clients", (done.stderr.strip().splitlines() or ["ended early"])[-1])


def handler(*command, **environment):
    environment = {"PATH": os.environ["PATH"], "MIGRATION_APP_ID": "sample", "MIGRATION_SETTLE": "0s", **environment}
    done = subprocess.run([arguments.handler, "--env-file", settings, *command], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RuntimeError(f"handler {command[0]} ended with {done.returncode}: {'; '.join(said[-3:])}")


def notebook():
    from notebook import Notebook

    states = "DeviceTvmSoftwareVulnerabilities"
    book = Notebook(pathlib.Path(__file__).parents[2] / "docs" / "analyst.ipynb")

    @check("notebook: the handler copies two snapshots, with a patch day between them")
    def _():
        handler("setup", "--load", "recommended", ADX_CLIENT_ID=d["adminIdentityClientId"])
        handler("migrate", "DeviceInfo", "DeviceProcessEvents", states)
        emulators.stdin.write("\n")
        emulators.stdin.flush()
        same(emulators.stdout.readline(), "patch day over\n")
        handler("migrate", states)

    # Who signs in is the app's identity, which may view the database.
    os.environ.update(ADX_CLUSTER_URL=d["kusto"], ADX_DATABASE=d["database"], AZURE_CLIENT_ID=d["appIdentityClientId"])
    for number, cell in enumerate(book.cells, 1):

        @check(f"notebook: cell {number} prints what is stored")
        def _():
            printed = book.run(cell)
            if not printed:
                raise AssertionError("it prints nothing")
            if arguments.update:
                book.keep(number, printed)
            same(printed, book.stored(cell))

    if arguments.update:
        book.save()


prepare()
tokens()
python_kusto()
curl_checks()
if arguments.node:
    python_ingest()
    hunting_clients()
    node()
if arguments.handler:
    notebook()
print(f"witness: checks={checks} failed={failed}")
sys.exit(1 if failed else 0)
