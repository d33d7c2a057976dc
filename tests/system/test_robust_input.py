"""The adversary at the control socket, the REST API and the command lines."""
import json
import os
import re
import socket
import ssl
import time

from tests.system import frames as f
from tests.system.robust import (Switch, certificates, clean, forwards, grown, rss_kb, scaled, seeded)
from tests.system.test_vswitch import Bench, patch
from utilities.lab.daemons import Controllerd, Vswitchd, program


def rpc(sock, line):
    """One request to the control socket: the answer, or None when the connection was closed."""
    try:
        sock.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            data = sock.recv(1 << 16)
            if not data:
                return None
            answer += data
        return json.loads(answer)
    except (BrokenPipeError, ConnectionResetError):
        return None


def control(sw):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(sw.socket)
    return sock


def test_garbage_on_the_control_socket(lab):
    bench, rng = Bench(lab), seeded()
    sw = bench.sw
    patch(sw, 1, 2)
    before = rss_kb(sw)
    deep = b'{"id":1,"method":"show","params":' + b'{"a":' * 20000 + b"1" + b"}" * 20000 + b"}\n"
    lines = [b"garbage\n", b"{}\n", b"[]\n", b"null\n", b"1\n", b'"x"\n', b'{"id":1}\n', b'{"id":-1,"method":"show"}\n', b'{"id":1e300,"method":"show"}\n',
             b'{"id":1,"method":7}\n', b'{"id":1,"method":"show","params":7}\n', b'{"id":1,"method":"show","params":{"x":1}}\n', b'{"id":1,"method":"sh\\u0000ow"}\n',
             b'{"id":1,"method":"show","id":2}\n', b'{"id":1,"method":"show"} trailing\n', b"\xff\xfe\xfd\n", b'{"id":1,"method":"\xff"}\n', deep,
             b'{"id":1,"method":"' + b"x" * 500000 + b'"}\n', b'{"id":1,"method":"capture","params":{"port":"p0","snaplen":-1}}\n',
             b'{"id":1,"method":"trace","params":{"flow":"' + b"a=" * 9000 + b'"}}\n', b'{"id":1,"method":"trace","params":{"packet":"zz"}}\n',
             b'{"id":1,"method":"flows","params":{"match":"' + b"(" * 9000 + b'"}}\n', b'{"id":1,"method":"port-add","params":{"name":"a"}}\n',
             b'{"id":1,"method":"port-add","params":{"name":"a","type":"vhost-user","path":"' + b"/x" * 200 + b'"}}\n',
             b'{"id":1,"method":"port-add","params":{"name":"a","type":"dpdk","devargs":"net_null0,--foo=1,,,=="}}\n',
             b'{"id":1,"method":"port-add","params":{"name":"a","type":"dpdk","devargs":"--vdev"}}\n',
             b'{"id":1,"method":"log-level","params":{}}\n', b'{"id":1,"method":"ports","params":{"name":7}}\n']
    with control(sw) as sock:
        for line in lines:
            answer = rpc(sock, line)
            assert answer and "error" in answer and answer["error"]["message"], (line[:100], answer)
        assert "result" in rpc(sock, b'{"id":1,"method":"show"}\n')
    with control(sw) as sock:               # A line too long ends the connection, and no memory is kept for it.
        assert rpc(sock, b"x" * (3 << 20)) is None
    for _ in range(scaled(300)):
        with control(sw) as sock:
            line = bytearray(rng.choice(lines[:16] + lines[19:]))
            for _ in range(3):
                line[rng.randrange(len(line))] = rng.randrange(256)
            try:
                sock.sendall(line)
            except BrokenPipeError:
                pass                        # The places of those before it are not free yet.
    many = []
    for _ in range(1000):
        many.append(control(sw))
    time.sleep(0.5)
    forwards(bench, "while a thousand are connected")
    for sock in many:
        sock.close()
    lab.wait_for("a place for vswctl", lambda: sw.vswctl("show", check=False).rc == 0, 5)
    slow = [control(sw) for _ in range(30)]
    for byte in b'{"id":1,"met':
        for sock in slow:
            sock.send(bytes([byte]))
        time.sleep(0.02)
    assert sw.vswctl("show").rc == 0
    for sock in slow:
        sock.close()
    with control(sw) as sock:               # Asks and does not listen.
        sock.setblocking(False)
        try:
            while True:
                sock.send(b'{"id":1,"method":"metrics"}\n' * 100)
        except BlockingIOError:
            pass
        time.sleep(0.5)
        assert sw.vswctl("show").rc == 0
    grown(sw, before, 32, "the control socket's clients")
    clean(sw)


def http_raw(connect, data, seconds=10):
    """The bytes that come back until the other side closes or nothing comes for the time."""
    with connect() as sock:
        sock.settimeout(seconds)
        answer = b""
        try:
            sock.sendall(data)
            while part := sock.recv(1 << 16):
                answer += part
                if re.search(rb"\r\n\r\n", answer) and (m := re.search(rb"Content-Length: (\d+)", answer)) and len(answer.split(b"\r\n\r\n", 1)[1]) >= int(m[1]):
                    break
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        return answer


def status_of(answer):
    m = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(m[1]) if m else None


def test_garbage_to_the_api(lab):
    ctl, rng = Controllerd(lab.host("control")), seeded()
    before = rss_kb(ctl)

    def connect():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(ctl.socket)
        return sock

    def post(body, path="/v1/apply"):
        return ctl.request("POST", path, body)
    deep = b'{"a":' * 100000 + b"1" + b"}" * 100000
    many = json.dumps({"tenants": [{"name": f"t{i}"} for i in range(2000)]}).encode()
    for body, wanted in [(b"", 400), (b"garbage", 400), (b"[]", 400), (b"null", 400), (b"{", 400), (deep, 400), (b"[" * 200000, 400), (b'{"tenants":{}}', 400),
                         (b'{"tenants":[7]}', 400), (b'{"tenants":[{"name":"' + b"x" * 100000 + b'"}]}', 400), (b'{"tenants":[{"name":"a\\u0000b"}]}', 400),
                         (b'{"tenants":[{"name":"red"}],"tenants":[]}', 400), (b'{"x":1}', 400), (b'\xff\xfe{}', 400), (b"{}", 200), (many, 200),
                         (b'{"edges":[{"name":"a","datapath_id":"1"},{"name":"b","datapath_id":"1"}]}', 400)]:
        status, _, text = post(body, "/v1/apply?dry_run=1")
        assert status == wanted, (body[:60], status, text[:300])
        answer = json.loads(text)
        assert status == 200 or answer["error"]["message"], text
    for path, wanted in [("/v1/ports/%00", 400), ("/v1/ports/%ff%fe", 400), ("/v1/nonsense", 404), ("/" + "x" * 8000, 404), ("/v1/ports/" + "a/" * 3000, 404), ("/v1/ports?x=1", 400),
                         ("/v1/ports?tenant=a&tenant=b", 400), ("/v1/installed?revision=-1", 400), ("/v1/installed?revision=99999999999999999999999", 400),
                         ("/v1/installed?timeout_ms=99999999999", 400), ("/v1/trace?port=" + "%2f" * 500 + "&to=1", 404), ("/v1/whois/1.2.3.4.5", 400), ("/v1/whois/%2e%2e", 400),
                         ("/v1/ports/../../etc/passwd", 404), ("//v1//ports", 404)]:
        status, _, text = ctl.request("GET", path)
        assert status == wanted, (path[:60], status, text[:300])
    for data in (b"garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\0" * 5000, b"\xff" * 5000,
                 b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                 b"POST /v1/apply HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"POST /v1/apply HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        answer = http_raw(connect, data, 3)
        assert status_of(answer) in (None, 400, 404, 405, 413, 417, 431, 501), (data[:60], answer[:200])
    for _ in range(scaled(300)):
        data = bytearray(b'POST /v1/apply?dry_run=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\n\r\n{"tenants":[{"name":"red"}]}12345')
        for _ in range(3):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with connect() as sock:
            sock.sendall(bytes(data))
    # Askers who leave before the answer comes.
    for request in (b"GET /v1/installed?revision=0&timeout_ms=60000 HTTP/1.1\r\n\r\n", b"GET /v1/edges HTTP/1.1\r\n\r\n" * 50,
                    b'POST /v1/apply HTTP/1.1\r\nContent-Length: 28\r\n\r\n{"tenants":[{"name":"red"}]}'):
        for _ in range(20):
            with connect() as sock:
                sock.sendall(request)
                time.sleep(rng.random() * 0.01)
    held = [connect() for _ in range(1000)]
    for sock in held:
        sock.send(b"GET /v1/ver")
    begun = time.monotonic()
    assert ctl.request("GET", "/v1/version")[0] == 200
    assert time.monotonic() - begun < 3
    for sock in held:
        sock.close()
    grown(ctl, before, 100, "the API's clients")
    clean(ctl)


def test_api_over_tls_under_attack(lab):
    """Strangers can neither see anything nor use up the descriptors that switches need."""
    made, host = certificates(lab), lab.host("control")
    tokens = host.path("tokens.json")
    with open(tokens, "w", encoding="utf-8") as file:
        json.dump([{"token": "operator-token-0123456789", "name": "op", "role": "operator"}], file)
    os.chmod(tokens, 0o600)
    extra = {"rest": {"listen": "127.0.0.1:8443", "tls": {"private_key": made["server"][0], "certificate": made["server"][1]}, "tokens": tokens}}
    spawn = host.spawn
    host.spawn = lambda name, argv: spawn(name, ["prlimit", "--nofile=400:400", *argv])
    ctl = Controllerd(host, extra=extra)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(made["ca"][1])

    def connect(tls=True):
        with f.inside(host.namespace):
            sock = socket.create_connection(("127.0.0.1", 8443), 15)
        return context.wrap_socket(sock) if tls else sock

    def get(token):
        header = f"Authorization: {token}\r\n" if token is not None else ""
        return status_of(http_raw(connect, f"GET /v1/tenants HTTP/1.1\r\n{header}\r\n".encode()))
    good = "Bearer operator-token-0123456789"
    lab.wait_for("the API's second listener", lambda: "https://" in ctl.process.log_text(), 10)
    assert get(good) == 200
    for token in (None, "", "Bearer", "Bearer ", "Bearer x", "Basic b3A6b3A=", "Bearer operator-token-012345678", "Bearer operator-token-01234567890", "bearer " + "x" * 9000):
        assert get(token) == 401, token
    for data in (b"GET /v1/tenants HTTP/1.1\r\nAuthorization: " + good.encode() + b"\r\n\r\n", b"\xff" * 1000, b"\x16\x03\x01\xff\xff" + bytes(70000)):
        assert status_of(http_raw(lambda: connect(False), data, 3)) is None
    # More connections than there are descriptors: who only connects, or sends a byte now and then.
    log_before = os.path.getsize(ctl.process.log)
    with f.inside(host.namespace):
        held = [socket.socket() for _ in range(500)]
    for sock in held:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", 8443))
    time.sleep(1)
    with Switch(ctl, 0x77):                 # A switch still gets in, and so does the operator at the unix socket.
        lab.wait_for("the switch", lambda: "0000000000000077" in ctl.vpcctl("get", "edges", "-o", "json").output, 10)
    assert os.path.getsize(ctl.process.log) - log_before < 100000, "the log is flooded"
    for sock in held:
        sock.close()
    lab.wait_for("a place at the API", lambda: get(good) == 200, 20)
    clean(ctl)


def test_strange_files_and_arguments(lab):
    """vpcctl and vswctl with what nobody should give them: an exit status of the table and one message, in time."""
    ctl = Controllerd(lab.host("control"))
    sw = Vswitchd(lab.host("host1"), 1)
    rng, n = seeded(), 0

    def written(data):
        nonlocal n
        n += 1
        path = f"{lab.dir}/strange{n}.yaml"
        with open(path, "wb") as file:
            file.write(data)
        return path
    laughs = b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12))
    files = ["/dev/zero", "/dev/null", "/nonexistent", "/proc/self/mem", lab.dir + "/nothing/here", program("vpcctl"), written(laughs), written(b"[" * 100000), written(b"{a: " * 100000),
             written(b"a: &a [*a]"), written(b"- " * 50000), written(b"\xff\xfe\0\0"), written(b"tenants: !!python/object:os.system [x]"), written(b"? " * 1000), written(b"%YAML 9.9\n---\n"),
             written(b"a: 1\na: 2\n"), written(b"tenants:\n\t- x"), written(b"--- |\n" + b"x" * 1000000), written(b"tenants: *nobody"), written(b"<<: *x"), written(b"\0" * 1000),
             written(b"tenants: [{name: " + b"x" * 1000000 + b"}]")]
    files += [written(rng.randbytes(rng.randrange(1, 2000))) for _ in range(scaled(20))]
    for path in files:
        for command in (["apply", "-f", path], ["diff", "-f", path]):
            begun = time.monotonic()
            result = ctl.vpcctl(*command, check=False, timeout=30)
            # An empty document is a document.
            assert result.rc in ((0, 1, 2) if os.path.basename(path) == "null" else (1, 2)), (path, result)
            assert result.rc == 0 or len(result.errors) < 2000, result
            assert time.monotonic() - begun < 15, path
    os.mkdir(lab.dir + "/folder")
    assert ctl.vpcctl("apply", "-f", lab.dir + "/folder", check=False).rc in (1, 2)     # Nothing in it.
    os.mkfifo(lab.dir + "/folder/x.yaml.fifo")
    for args in (["get"], ["get", "nonsense"], ["get", "port", "x" * 5000], ["get", "port", "a\x01b"], ["get", "ports", "-o", "xml"], ["trace", "a", "--to", "b"], ["whois", "x" * 300], ["delete", "port"],
                 ["apply"], ["apply", "-f"], ["apply", "-f", files[-1], "--timeout", "-5s"], ["create", "tenant", "../x"], ["create", "port", "a/b/c/d", "--mac", "x"], ["--server", "unix:" + "x" * 300, "get", "ports"],
                 ["--server", "ftp://x", "get", "ports"], ["--server", "https://[::1", "get", "ports"], ["--token-file", "/dev/zero", "get", "ports"], ["--token-file", "/", "get", "ports"]):
        result = ctl.vpcctl(*args, check=False, timeout=30)
        assert result.rc in (1, 2, 3, 4, 5, 6, 7) and 0 < len(result.errors) < 7000, (args, result)
    for args in (["nonsense"], ["ports", "x" * 5000], ["flows", "table=999"], ["flows", "in_port=" + "9" * 500], ["flows", "(" * 5000], ["trace", "in_port=1"], ["trace", "in_port=p,packet"],
                 ["trace", "in_port=1", "--packet", "f" * 100001], ["trace", "in_port=1", "--packet", "xyz"], ["capture", "p0"], ["capture", "p0", "-w", "/nonexistent/x"],
                 ["capture", "p0", "-w", lab.dir], ["port-add", "a"], ["port-add", "a", "type=vhost-user", "path=" + "/x" * 100], ["port-add", "a", "type=vhost-user", "path=/nonexistent/a.sock", "role=server"],
                 ["port-add", "a", "type=dpdk", "devargs=net_af_packet9,iface=nosuch"], ["port-add", "a", "type=dpdk", "devargs=" + "x" * 5000], ["port-add", "../a", "type=vhost-user"], ["port-add", "a", "type=vhost-user", "ofport=0"],
                 ["port-add", "a", "type=vhost-user", "ofport=99999999999"], ["port-add", "a", "type=vhost-user", "mtu=5"], ["port-del", "nobody"], ["log-level", "loud"], ["-s", "/nonexistent", "show"],
                 ["-n", "../../x", "show"], ["-n", "x" * 300, "show"], ["-o", "xml", "show"]):
        result = sw.vswctl(*args, check=False, timeout=30)
        assert result.rc in (1, 2, 3, 4, 6, 7) and 0 < len(result.errors) < 7000, (args, result)
    for name, data in (("vswitchd", b"[" * 100000), ("vswitchd", rng.randbytes(3000)), ("controllerd", b'{"name":' * 5000), ("controllerd", b"\0"), ("controllerd", b"")):
        result = lab.hosts[0].run([program(name), "--config", written(data), "--check"], check=False)
        assert result.rc == 1, result
    for name in ("vswitchd", "controllerd"):
        for path in ("/dev/zero", "/", "/nonexistent"):
            result = lab.hosts[0].run([program(name), "--config", path, "--check"], check=False, timeout=20)
            assert result.rc in (1, 2) and len(result.output) < 2000, result
    clean(sw, ctl)
