#!/usr/bin/env python3
"""vpcctl against a server that answers what the test says and remembers what it was asked.

Run by "make check" in the build tree; the program is $VPCCTL or tenants/vpcctl below the current directory.
"""
import http.server
import json
import os
import shutil
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

VPCCTL = os.path.abspath(os.environ.get("VPCCTL", "tenants/vpcctl"))
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else b""
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None, dict(self.headers)))
        status, reply = self.server.replies.pop(0) if self.server.replies else (500, {})
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def address_string(self):
        return "client"

    def log_message(self, *args):
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("client", 0)


def error(code, field="", message="went wrong", hint=""):
    return {"error": {"code": code, "field": field, "message": (field + ": " if field else "") + message, "hint": hint}}


def item(kind, name, spec, status):
    return {"kind": kind, "name": name, "revision": "7", "spec": dict({"name": name.split("/")[-1]}, **spec), "status": status}


PORTS = {"revision": "7", "items": [
    item("port", "blue/main/web/a", {"mac": "52:54:00:00:00:01", "ips": ["10.0.0.11"], "edge": "host1", "anti_spoofing": True, "vhost": {"role": "client", "queues": 1}},
         {"state": "up", "id": 3, "device": "p3", "provider_mac": "02:00:01:00:00:01", "vhost_socket": "/run/x/p3.sock",
          "addresses": [{"ip": "10.0.0.11", "provider": "100.64.16.1"}]}),
    item("port", "red/main/db/z", {"mac": "52:54:00:00:00:09", "ips": [], "anti_spoofing": False, "vhost": {"role": "client", "queues": 1}}, {"state": "unbound", "id": 4}),
    item("port", "red/main/web/a", {"mac": "52:54:00:00:00:01", "ips": ["10.0.0.11", "fd00::11"], "edge": "host1", "anti_spoofing": True,
                                    "vhost": {"role": "client", "queues": 1}}, {"state": "up", "id": 1}),
    item("port", "red/main/web/b", {"mac": "52:54:00:00:00:02", "ips": [], "anti_spoofing": True, "vhost": {"role": "client", "queues": 1}}, {"state": "unbound", "id": 2}),
]}


class VpcctlTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="polder-vpcctl-")
        self.socket = os.path.join(self.dir, "s")
        self.server = UnixServer(self.socket, Handler)
        self.server.asked, self.server.replies = [], []
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir)

    def run_vpcctl(self, *args, replies=(), stdin="", env=None):
        self.server.asked.clear()
        self.server.replies[:] = list(replies)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POLDER_")}
        environment.update({"POLDER_SERVER": "unix:" + self.socket}, **(env or {}))
        r = subprocess.run([VPCCTL] + list(args), input=stdin, capture_output=True, text=True, timeout=60, env=environment)
        return r.returncode, r.stdout, r.stderr

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    # --- apply ---

    def test_apply_is_one_transaction(self):
        a = self.file("a.yaml", "tenants:\n- name: red\n")
        d = os.path.join(self.dir, "d")
        os.mkdir(d)
        self.file("d/2.yaml", "vpcs:\n- {name: main, tenant: red}\n")
        self.file("d/1.yaml", "tenants: [{name: blue}]\n---\nedges:\n- {name: host1, datapath_id: '0000000000000001'}\n")
        self.file("d/notes.txt", "not: [read\n")
        answer = {"revision": "12", "changes": [
            {"action": "create", "kind": "tenant", "name": "red", "fields": [{"field": "name", "old": None, "new": "red"}]},
            {"action": "update", "kind": "port", "name": "red/main/web/a", "fields": [{"field": "edge", "old": "host1", "new": "host2"},
                                                                                    {"field": "ips", "old": ["10.0.0.1"], "new": ["10.0.0.2", "10.0.0.3"]}]}]}
        rc, out, err = self.run_vpcctl("apply", "-f", a, "-f", d, "-f", "-", replies=[(200, answer)], stdin="tenants:\n- name: green\n")
        self.assertEqual((rc, err), (0, ""))
        self.assertEqual(out, "tenant red created\nport red/main/web/a updated (edge: host1 -> host2; ips: 10.0.0.1 -> 10.0.0.2,10.0.0.3)\nrevision 12\n")
        self.assertEqual(len(self.server.asked), 1)
        self.assertEqual(self.server.asked[0][:2], ("POST", "/v1/apply"))
        self.assertEqual(self.server.asked[0][2], {"tenants": [{"name": "red"}, {"name": "blue"}, {"name": "green"}], "vpcs": [{"name": "main", "tenant": "red"}],
                                                   "edges": [{"name": "host1", "datapath_id": "0000000000000001"}]})

    def test_apply_nothing(self):
        rc, out, _ = self.run_vpcctl("apply", "-f", "-", replies=[(200, {"revision": "5", "changes": []})], stdin="{}")
        self.assertEqual((rc, out), (0, "nothing to do, revision 5\n"))

    def test_dry_run(self):
        rc, _, _ = self.run_vpcctl("apply", "--dry-run", "-f", "-", replies=[(200, {"revision": "5", "changes": []})], stdin="{}")
        self.assertEqual((rc, self.server.asked[0][1]), (0, "/v1/apply?dry_run=1"))

    def test_error_names_the_line(self):
        a = self.file("a.yaml", "tenants:\n- name: red\n")
        b = self.file("b.yaml", "vpcs:\n- name: main\n  tenant: red\n  networks:\n  - name: web\n    subnet: 10.0.0.0/24\n  - name: db\n    subnet: 10.0.0.0/33\n")
        rc, out, err = self.run_vpcctl("apply", "-f", a, "-f", b,
                                       replies=[(400, error("invalid", "vpcs[0].networks[1].subnet", "10.0.0.0/33 is not a prefix", "look again"))])
        self.assertEqual((rc, out), (1, ""))
        self.assertEqual(err, "vpcctl: %s:8: vpcs[0].networks[1].subnet: 10.0.0.0/33 is not a prefix (look again)\n" % b)

    def test_yaml_error_asks_nobody(self):
        a = self.file("a.yaml", "edges:\n- name: host1\n  datapath_id: 0000000000000001\n")
        rc, _, err = self.run_vpcctl("apply", "-f", a)
        self.assertEqual((rc, self.server.asked), (1, []))
        self.assertIn(a + ":3:16: 0000000000000001 reads as a number", err)

    def test_wait(self):
        replies = [(200, {"revision": "9", "changes": [{"action": "create", "kind": "tenant", "name": "t", "fields": []}]}),
                   (504, error("timeout", "", "switch host1 is not connected")), (504, error("timeout", "", "switch host1 is not connected")),
                   (504, error("timeout", "", "host1 has not confirmed 3 rules")), (200, {"installed": True, "revision": "9"})]
        rc, out, err = self.run_vpcctl("apply", "-f", "-", "--wait=installed", "--timeout", "60s", replies=replies, stdin="tenants: [{name: t}]")
        self.assertEqual((rc, out), (0, "tenant t created\nrevision 9\ninstalled\n"))
        self.assertEqual(err, "waiting: switch host1 is not connected\nwaiting: host1 has not confirmed 3 rules\n")
        self.assertEqual([a[1].split("&")[0] for a in self.server.asked], ["/v1/apply"] + ["/v1/installed?revision=9"] * 4)

    def test_wait_times_out(self):
        replies = [(200, {"revision": "9", "changes": []}), (504, error("timeout", "", "switch host1 is not connected"))]
        rc, _, err = self.run_vpcctl("apply", "-f", "-", "--wait=installed", "--timeout=500ms", replies=replies, stdin="{}")
        self.assertEqual(rc, 6)
        self.assertIn("switch host1 is not connected", err)

    def test_exit_codes(self):
        for status, code, rc in ((400, "invalid", 1), (404, "not_found", 3), (409, "conflict", 4), (403, "denied", 5), (504, "timeout", 6), (500, "failed", 1)):
            self.assertEqual(self.run_vpcctl("get", "ports", "x", replies=[(status, error(code))])[0], rc, code)
            self.assertEqual(self.run_vpcctl("get", "ports", "x", replies=[(status, b"<html>")])[0], rc, status)
        rc, _, err = self.run_vpcctl("get", "ports", "--server", "unix:/nonexistent/socket")
        self.assertEqual(rc, 7)
        self.assertIn("is controllerd running?", err)
        rc, _, err = self.run_vpcctl("get", "ports", replies=[(200, b"hello")])
        self.assertEqual(rc, 1)
        self.assertIn("is no JSON", err)

    def test_usage(self):
        for args, text in ((["get"], "needs an argument"), (["get", "cats"], "cats: no such kind"), (["apply"], "-f: is missing"), (["apply", "-f"], "-f: needs a value"),
                           (["fly"], "fly: no such command"), (["get", "ports", "--nope"], "--nope: no such option"), (["trace", "p"], "--to: is missing"),
                           (["get", "ports", "-o", "xml"], "--output: xml"), (["get", "ports", "--timeout", "5y"], "--timeout: 5y"),
                           (["get", "ports", "--server", "http://x"], "--server: http://x"), (["get", "ports", "a", "b"], "b: one argument too many"),
                           (["create", "port", "red/a"], "must be TENANT/VPC/NETWORK/NAME"), (["create", "tenant", "red", "--mac", "x"], "--mac: is not for a tenant"),
                           (["create", "edge", "e"], "edge: cannot be created so"), (["delete", "link", "l"], "link: is no kind"), (["completion", "tcsh"], "tcsh"),
                           (["apply", "-f", "x", "--wait=up"], "--wait: up"), (["delete", "port", "p", "--if-revision", "x"], "--if-revision")):
            rc, out, err = self.run_vpcctl(*args)
            self.assertEqual((rc, out, self.server.asked), (2, "", []), args)
            self.assertIn(text, err)

    def test_help(self):
        rc, out, _ = self.run_vpcctl("--help")
        self.assertEqual(rc, 0)
        for command in ("apply", "diff", "get", "create", "delete", "trace", "whois", "version", "completion"):
            self.assertIn("\n  " + command + " ", out)
            rc, text, _ = self.run_vpcctl(command, "--help")
            self.assertEqual(rc, 0)
            self.assertTrue(text.startswith("usage: vpcctl " + command))

    # --- diff ---

    def test_diff(self):
        answer = {"revision": "4", "changes": [
            {"action": "create", "kind": "tenant", "name": "red", "fields": [{"field": "name", "old": None, "new": "red"}, {"field": "quota", "old": None, "new": {"ports": 5}}]},
            {"action": "update", "kind": "network", "name": "red/main/web", "fields": [{"field": "subnet6", "old": None, "new": "fd00::/64"},
                                                                                     {"field": "subnet", "old": "10.0.0.0/24", "new": "10.0.0.0/23"}]}]}
        rc, out, _ = self.run_vpcctl("diff", "-f", "-", replies=[(200, answer)], stdin="tenants: [{name: red}]")
        self.assertEqual((rc, self.server.asked[0][1]), (1, "/v1/apply?dry_run=1"))
        self.assertEqual(out, "+ tenant red\n+   quota: ports=5\n~ network red/main/web\n+   subnet6: fd00::/64\n-   subnet: 10.0.0.0/24\n+   subnet: 10.0.0.0/23\n")
        self.assertEqual(self.run_vpcctl("diff", "-f", "-", replies=[(200, {"revision": "4", "changes": []})], stdin="{}")[:2], (0, ""))

    # --- get ---

    def test_table(self):
        rc, out, _ = self.run_vpcctl("get", "ports", "--tenant", "red", replies=[(200, PORTS)])
        self.assertEqual((rc, self.server.asked[0][:2]), (0, ("GET", "/v1/ports?tenant=red")))
        lines = out.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "MAC", "IPS", "EDGE", "STATE"])
        self.assertEqual(lines[1].split(), ["blue/main/web/a", "52:54:00:00:00:01", "10.0.0.11", "host1", "up"])
        self.assertEqual(lines[4].split(), ["red/main/web/b", "52:54:00:00:00:02", "-", "-", "unbound"])
        for column in ("MAC", "IPS", "EDGE", "STATE"):
            at = lines[0].index(column)
            self.assertTrue(all(line[at - 1] == " " and line[at] != " " for line in lines))
        rc, out, _ = self.run_vpcctl("get", "port", "blue/main/web/a", "-o", "wide", replies=[(200, PORTS["items"][0])])
        self.assertEqual(self.server.asked[0][1], "/v1/ports/blue/main/web/a")
        self.assertEqual(out.splitlines()[1].split()[5:], ["3", "p3", "02:00:01:00:00:01", "100.64.16.1", "/run/x/p3.sock", "7"])

    def test_every_kind(self):
        cases = {"tenants": item("tenant", "red", {"quota": {"ports": 10, "networks": 5, "vpcs": 1, "slices": 3, "switches": 4}},
                                 {"ports": 2, "networks": 1, "vpcs": 1, "slices": 1, "switches": 2}),
                 "slices": item("slice", "red/lab", {"tenant": "red", "controllers": ["tcp:192.0.2.9:6653"]}, {"switches": 2, "links": 1}),
                 "switches": item("switch", "red/lab/s1", {"datapath_id": "00000000000000a1", "edges": ["host1", "host2"], "listen": []},
                                  {"ports": 3, "ports_up": 2, "flow_entries": 9, "controllers": [{"peer": "tcp:192.0.2.9:6653", "state": "up", "role": "master"}]}),
                 "switch-ports": item("switch-port", "red/lab/s1/up", {"number": 3, "of_name": "up", "edge": "host1"},
                                      {"state": "up", "peer": "red/lab/s2/up", "mac": "52:54:00:00:00:07"}),
                 "virtual-links": item("virtual-link", "red/lab/l1", {"ends": ["s1/up", "s2/up"], "via": []}, {"state": "up", "path": ["host1", "fab1", "host2"]}),
                 "vpcs": item("vpc", "red/main", {"tenant": "red"}, {}),
                 "networks": item("network", "red/main/web", {"subnet": "10.0.0.0/24"}, {"ports": 2, "ports_up": 1, "landings": [{"edge": "host1"}, {"edge": "host2"}]}),
                 "edges": item("edge", "host1", {"datapath_id": "0000000000000001", "flow_entries": 100},
                               {"connected": True, "state": "in-sync", "ports": 2, "rules": 80, "links": 1, "guaranteed_entries": 50, "own_entries": 60, "overcommitted_entries": 10}),
                 "fabric-switches": item("fabric-switch", "fab1", {"datapath_id": "00000000000000fa"}, {"connected": False}),
                 "links": {"kind": "link", "name": "l1", "spec": {}, "status": {"state": "up", "a": {"switch": "host1", "port": 1, "port_name": "uplink0"},
                                                                               "b": {"switch": "fab1", "port": 2}}}}
        want = {"tenants": "red 1/1 1/5 2/10 1/3 2/4", "slices": "red/lab 2 1 tcp:192.0.2.9:6653", "switches": "red/lab/s1 00000000000000a1 host1,host2 3 2 up 9",
                "switch-ports": "red/lab/s1/up 3 host1 up red/lab/s2/up", "virtual-links": "red/lab/l1 s1/up,s2/up up host1,fab1,host2",
                "vpcs": "red/main red", "networks": "red/main/web 10.0.0.0/24 - 2 1 host1,host2",
                "edges": "host1 0000000000000001 in-sync 2 1 80 50/40!", "fabric-switches": "fab1 00000000000000fa disconnected - -", "links": "l1 host1 uplink0 fab1 2 up"}
        for kind, one in cases.items():
            rc, out, _ = self.run_vpcctl("get", kind, replies=[(200, {"items": [one], "revision": "7"})])
            self.assertEqual((rc, out.splitlines()[1].split()), (0, want[kind].split()))
            self.assertEqual(self.run_vpcctl("get", kind, "-o", "wide", replies=[(200, {"items": [one], "revision": "7"})])[0], 0)

    def test_json(self):
        rc, out, _ = self.run_vpcctl("get", "ports", "-o", "json", replies=[(200, PORTS)])
        self.assertEqual((rc, json.loads(out)), (0, PORTS))

    def test_yaml_applies_again(self):
        rc, text, _ = self.run_vpcctl("get", "ports", "-o", "yaml", replies=[(200, PORTS)])
        self.assertEqual(rc, 0)
        rc, _, err = self.run_vpcctl("apply", "-f", "-", replies=[(200, {"revision": "7", "changes": []})], stdin=text)
        self.assertEqual((rc, err), (0, ""))
        spec = [i["spec"] for i in PORTS["items"]]
        self.assertEqual(self.server.asked[0][2], {"vpcs": [
            {"name": "main", "tenant": "blue", "networks": [{"name": "web", "ports": [spec[0]]}]},
            {"name": "main", "tenant": "red", "networks": [{"name": "db", "ports": [spec[1]]}, {"name": "web", "ports": [spec[2], spec[3]]}]}]})
        edges = {"items": [item("edge", "host1", {"datapath_id": "0000000000000001"}, {})], "revision": "1"}
        rc, text, _ = self.run_vpcctl("get", "edges", "-o", "yaml", replies=[(200, edges)])
        self.assertEqual((rc, text), (0, 'edges:\n  - name: host1\n    datapath_id: "0000000000000001"\n'))

    # --- create, delete ---

    def test_create(self):
        done = {"revision": "3", "changes": [{"action": "create", "kind": "port", "name": "red/main/web/a", "fields": []}]}
        rc, out, _ = self.run_vpcctl("create", "port", "red/main/web/a", "--ip", "10.0.0.5", "--ip=fd00::5", "--mac", "52:54:00:00:00:05", "--edge", "host1",
                                     replies=[(404, error("not_found")), (200, {}), (200, done)])
        self.assertEqual((rc, out), (0, "port red/main/web/a created\nrevision 3\n"))
        self.assertEqual([a[:2] for a in self.server.asked], [("GET", "/v1/ports/red/main/web/a"), ("GET", "/v1/networks/red/main/web"), ("POST", "/v1/apply")])
        self.assertEqual(self.server.asked[2][2], {"vpcs": [{"tenant": "red", "name": "main", "networks": [{"name": "web", "ports": [
            {"name": "a", "mac": "52:54:00:00:00:05", "edge": "host1", "ips": ["10.0.0.5", "fd00::5"]}]}]}]})
        self.assertEqual(self.run_vpcctl("create", "port", "red/main/web/a", replies=[(200, {})])[0], 4)
        self.assertEqual(self.run_vpcctl("create", "port", "red/main/web/a", replies=[(404, error("not_found")), (404, error("not_found"))])[0], 3)
        rc, _, err = self.run_vpcctl("create", "network", "red/main/web", "--subnet", "10.0.0.0/33",
                                     replies=[(404, error("not_found")), (200, {}), (400, error("invalid", "vpcs[0].networks[0].subnet", "10.0.0.0/33 is not a prefix"))])
        self.assertEqual((rc, err), (1, "vpcctl: --subnet: 10.0.0.0/33 is not a prefix\n"))
        rc, _, _ = self.run_vpcctl("create", "tenant", "red", replies=[(404, error("not_found")), (200, done)])
        self.assertEqual((rc, self.server.asked[1][2]), (0, {"tenants": [{"name": "red"}]}))

    def test_create_slice(self):
        done = {"revision": "3", "changes": [{"action": "create", "kind": "slice", "name": "red/lab", "fields": []}]}
        absent = (404, error("not_found"))
        rc, out, err = self.run_vpcctl("create", "slice", "red/lab", "--topology", "mirror", "--edges", "host1,host2", "--controller", "tcp:192.0.2.9:6653",
                                       "--controller=tls:[2001:db8::1]:6653", replies=[absent, (200, done)])
        self.assertEqual((rc, out, err), (0, "slice red/lab created\nrevision 3\n", ""))
        self.assertEqual([a[:2] for a in self.server.asked], [("GET", "/v1/slices/red/lab"), ("POST", "/v1/apply")])
        self.assertEqual(self.server.asked[1][2], {"slices": [{"name": "lab", "tenant": "red", "topology": "mirror", "edges": ["host1", "host2"],
                                                               "controllers": ["tcp:192.0.2.9:6653", "tls:[2001:db8::1]:6653"]}]})
        topology = self.file("t.yaml", "switches:\n- name: s1\n- name: s2\n  ports:\n  - {name: a, number: 70000}\nlinks:\n- {name: l1, ends: [s1/x, s2/x]}\n")
        rc, _, err = self.run_vpcctl("create", "slice", "red/lab", "--topology", topology, "--edges=host1", replies=[
            absent, (400, error("invalid", "slices[0].switches[1].ports[0].number", "must be at most 65279"))])
        self.assertEqual((rc, err), (1, "vpcctl: %s:5: slices[0].switches[1].ports[0].number: must be at most 65279\n" % topology))
        self.assertEqual(self.server.asked[1][2], {"slices": [{"name": "lab", "tenant": "red", "edges": ["host1"], "switches": [
            {"name": "s1"}, {"name": "s2", "ports": [{"name": "a", "number": 70000}]}], "links": [{"name": "l1", "ends": ["s1/x", "s2/x"]}]}]})
        rc, _, err = self.run_vpcctl("create", "slice", "red/lab", "--topology", topology, "--edges=host9", replies=[
            absent, (400, error("invalid", "slices[0].edges[0]", "there is no edge host9"))])
        self.assertEqual((rc, err), (1, "vpcctl: --edges: there is no edge host9\n"))
        rc, _, err = self.run_vpcctl("create", "slice", "red/lab", "--controller", "x", replies=[absent, (400, error("invalid", "slices[0].controllers[0]", "no"))])
        self.assertEqual((rc, err), (1, "vpcctl: --controller: no\n"))
        for text, code in (("slices: []\n", 2), ("name: x\n", 1), ("a: [\n", 1)):
            self.assertEqual(self.run_vpcctl("create", "slice", "red/lab", "--topology", self.file("bad.yaml", text))[0], code)
        self.assertEqual(self.run_vpcctl("create", "slice", "red/lab", "--topology", "ring")[0], 1)
        self.assertEqual(self.server.asked, [])

    def test_create_in_slice(self):
        done, absent = {"revision": "3", "changes": []}, (404, error("not_found"))
        cases = (
            (["switch", "red/lab/s1", "--edges=host1", "--datapath-id=00000000000000a1", "--listen", "ptcp:7001:127.0.0.1"], "/v1/slices/red/lab",
             {"switches": [{"name": "s1", "edges": ["host1"], "listen": ["ptcp:7001:127.0.0.1"], "datapath_id": "00000000000000a1"}]}),
            (["switch-port", "red/lab/s1/a", "--number", "7", "--edge", "host1", "--ip", "10.0.0.1"], "/v1/switches/red/lab/s1",
             {"switches": [{"name": "s1", "ports": [{"name": "a", "number": 7, "edge": "host1", "ips": ["10.0.0.1"]}]}]}),
            (["virtual-link", "red/lab/l1", "--ends", "s1/x,s2/x"], "/v1/slices/red/lab", {"links": [{"name": "l1", "ends": ["s1/x", "s2/x"]}]}))
        for args, parent, members in cases:
            rc, _, err = self.run_vpcctl("create", *args, replies=[absent, (200, {}), (200, done)])
            self.assertEqual((rc, err, self.server.asked[1][1]), (0, "", parent))
            self.assertEqual(self.server.asked[2][2], {"slices": [{"name": "lab", "tenant": "red", **members}]})
        for args in (["switch", "red/lab"], ["slice", "red"], ["switch-port", "red/lab/s1/a", "--number=x"], ["slice", "red/lab", "--mac=x"],
                     ["port", "red/main/web/a", "--number=1"]):
            self.assertEqual(self.run_vpcctl("create", *args)[0], 2)

    def test_slice_as_document(self):
        ports = {"revision": "7", "items": [item("switch-port", "red/lab/s1/a", {"number": 1}, {}), item("switch-port", "red/lab/s1/b", {"number": 2}, {}),
                                            item("switch-port", "red/lab/s2/a", {"number": 1}, {})]}
        rc, text, _ = self.run_vpcctl("get", "switch-ports", "-o", "yaml", replies=[(200, ports)])
        self.assertEqual(rc, 0)
        links = {"revision": "7", "items": [item("virtual-link", "red/lab/l1", {"ends": ["s1/a", "s2/a"]}, {})]}
        rc, more, _ = self.run_vpcctl("get", "virtual-links", "-o", "yaml", replies=[(200, links)])
        self.assertEqual(rc, 0)
        for document, want in ((text, {"switches": [{"name": "s1", "ports": [{"name": "a", "number": 1}, {"name": "b", "number": 2}]},
                                                    {"name": "s2", "ports": [{"name": "a", "number": 1}]}]}),
                               (more, {"links": [{"name": "l1", "ends": ["s1/a", "s2/a"]}]})):
            self.assertEqual(self.run_vpcctl("apply", "-f", "-", replies=[(200, {"revision": "7", "changes": []})], stdin=document)[0], 0)
            self.assertEqual(self.server.asked[0][2], {"slices": [{"name": "lab", "tenant": "red", **want}]})

    def test_delete(self):
        done = {"revision": "3", "changes": [{"action": "delete", "kind": "fabric-switch", "name": "fab 1", "fields": []}]}
        rc, out, _ = self.run_vpcctl("delete", "fabric-switch", "fab 1", "--if-revision", "2", replies=[(200, done)])
        self.assertEqual((rc, out), (0, "fabric-switch fab 1 deleted\nrevision 3\n"))
        method, path, _, headers = self.server.asked[0]
        self.assertEqual((method, path, headers["If-Match"]), ("DELETE", "/v1/fabric-switches/fab%201", '"2"'))

    # --- The rest ---

    def test_trace(self):
        answer = {"from": "red/main/web/a", "to": "red/main/web/b", "verdict": "delivered",
                  "steps": [{"where": "edge", "switch": "host1", "text": "table 0\ntable 16"}, {"where": "edge", "switch": "host1", "text": "out uplink0"},
                            {"where": "fabric", "switch": "fab1", "text": "1 to 2"}]}
        rc, out, _ = self.run_vpcctl("trace", "red/main/web/a", "--to", "10.0.0.12", replies=[(200, answer)])
        self.assertEqual((rc, self.server.asked[0][1]), (0, "/v1/trace?port=red/main/web/a&to=10.0.0.12"))
        self.assertEqual(out, "from red/main/web/a to red/main/web/b\n  edge host1\n    table 0\n    table 16\n    out uplink0\n  fabric fab1\n    1 to 2\ndelivered\n")
        rc, out, _ = self.run_vpcctl("trace", "a", "--to", "b", replies=[(200, dict(answer, verdict="dropped", reason="anti-spoof"))])
        self.assertEqual((rc, out.splitlines()[-1]), (1, "dropped: anti-spoof"))

    def test_whois_version_completion(self):
        rc, out, _ = self.run_vpcctl("whois", "fd64::1", replies=[(200, {"address": "fd64::1", "what": "address of a port"})])
        self.assertEqual((rc, out, self.server.asked[0][1]), (0, "address: fd64::1\nwhat:    address of a port\n", "/v1/whois/fd64%3A%3A1"))
        rc, out, _ = self.run_vpcctl("version", replies=[(200, {"version": "1.2.3"})])
        self.assertEqual((rc, out.splitlines()[1]), (0, "controllerd 1.2.3"))
        rc, out, _ = self.run_vpcctl("completion", "bash")
        self.assertEqual(rc, 0)
        with open(os.path.join(TOP, "tenants/vpcctl.bash")) as f:
            self.assertEqual(out, f.read())
        complete = out + "\nCOMP_WORDS=(vpcctl get po); COMP_CWORD=2; _vpcctl; echo ${COMPREPLY[*]}; COMP_WORDS=(vpcctl di); COMP_CWORD=1; _vpcctl; echo ${COMPREPLY[*]}"
        self.assertEqual(subprocess.run(["bash", "-c", complete], capture_output=True, text=True).stdout, "ports\ndiff\n")
        for words, want in (("get sw", "switches switch-ports"), ("create sl", "slice"), ("create slice x --t", "--topology --token --token-file --timeout"),
                            ("create slice x --topology on", "one-switch"), ("delete virt", "virtual-link"), ("create switch x --l", "--listen")):
            words = ["vpcctl"] + words.split()
            script = out + "\nCOMP_WORDS=(%s); COMP_CWORD=%d; _vpcctl; echo ${COMPREPLY[*]}" % (" ".join(words), len(words) - 1)
            self.assertEqual(subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=self.dir).stdout, want + "\n")

    def test_token(self):
        token = self.file("token", "secret\n")
        for args, env in ((["--token-file", token], {}), (["--token=secret"], {}), ([], {"POLDER_TOKEN": "secret"})):
            self.run_vpcctl("get", "ports", *args, replies=[(200, PORTS)], env=env)
            self.assertEqual(self.server.asked[0][3].get("Authorization"), "Bearer secret")
        self.run_vpcctl("get", "ports", replies=[(200, PORTS)])
        self.assertNotIn("Authorization", self.server.asked[0][3])

    @unittest.skipUnless(shutil.which("openssl"), "no openssl program to make a certificate with")
    def test_https(self):
        key, cert = os.path.join(self.dir, "key"), os.path.join(self.dir, "cert")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked, server.replies = [], [(200, PORTS)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = "https://127.0.0.1:%d" % server.server_address[1]
        rc, _, err = self.run_vpcctl("get", "ports", "--server", url, "--token", "t")
        self.assertEqual(rc, 7)
        self.assertIn("--ca", err)
        rc, out, err = self.run_vpcctl("get", "ports", "--server", url + "/", "--token", "t", "--ca", cert)
        self.assertEqual((rc, err), (0, ""))
        self.assertEqual(server.asked[0][3]["Authorization"], "Bearer t")
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=0)
    bad = len(program.result.failures) + len(program.result.errors)
    print("unit: %d passed, %d failed" % (program.result.testsRun - bad - len(program.result.skipped), bad))
    sys.exit(1 if bad or not program.result.testsRun else 0)
